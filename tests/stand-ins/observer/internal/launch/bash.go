package launch

import (
	"fmt"
	"os"
	"strings"
)

// Words takes the one command of `bash -c COMMAND` apart. The image has no shell, and the pods' commands need little of
// one: quotes, and "$(cat FILE)" for a password from a mounted Secret. What else a shell would make of it is refused
// rather than guessed.
func Words(command string) ([]string, error) {
	var words []string
	word, begun, quote := strings.Builder{}, false, byte(0)
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for at := 0; at < len(command); at++ {
		c := command[at]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			word.WriteByte(c)
		case c == '$':
			file, size, found := cat(command[at:])
			if !found {
				return nil, refuse(c)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			word.WriteString(strings.TrimRight(string(text), "\n"))
			begun = true
			at += size - 1
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, true
		case strings.IndexByte("`\\", c) >= 0, quote == 0 && strings.IndexByte("|&;<>*(){}\n", c) >= 0:
			return nil, refuse(c)
		case quote == 0 && (c == ' ' || c == '\t'):
			end()
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	end()
	if quote != 0 {
		return nil, fmt.Errorf("a quote of the command is not closed")
	}
	if len(words) > 0 && words[0] == "exec" {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("bash -c has no command")
	}
	return words, nil
}

func refuse(c byte) error {
	return fmt.Errorf("the stand-in's bash runs one plain command, and %q is more than that", c)
}

func cat(rest string) (file string, size int, found bool) {
	inside, _, closed := strings.Cut(rest, ")")
	name, is := strings.CutPrefix(inside, "$(cat ")
	if !closed || !is || strings.ContainsAny(name, " $`'\"|&;<>") {
		return "", 0, false
	}
	return name, len(inside) + 1, true
}
