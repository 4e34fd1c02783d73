package launch

import (
	"fmt"
	"strings"
)

// Words takes the one command of `bash -c COMMAND` apart. The image has no shell, and the pod's command needs none: so
// what a shell would make of it is refused rather than guessed.
func Words(command string) ([]string, error) {
	if at := strings.IndexAny(command, "|&;<>$`\\*(){}\n\""); at >= 0 {
		return nil, fmt.Errorf("the stand-in's bash runs one plain command; %q in %q is more than that", command[at], command)
	}
	var words []string
	for at, part := range strings.Split(command, "'") {
		if at%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	if strings.Count(command, "'")%2 == 1 {
		return nil, fmt.Errorf("a quote of %q is not closed", command)
	}
	if len(words) > 0 && words[0] == "exec" {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("bash -c has no command")
	}
	return words, nil
}
