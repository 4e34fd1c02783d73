package launch

import (
	"fmt"
	"strconv"
	"strings"
)

// Validate is `oceanbase-helper upgrade validate -s VERSION`, run in the new image: may a cluster of that version become
// one of this? Forwards within 4.x, by number; the real list of steps is longer.
func Validate(from, to string) error {
	a, b := numbers(from), numbers(to)
	if a[0] != b[0] || a[0] == 0 {
		return fmt.Errorf("no way leads from %s to %s", from, to)
	}
	for i := range a {
		switch {
		case a[i] < b[i]:
			return nil
		case a[i] > b[i]:
			return fmt.Errorf("an upgrade from %s to %s would go backwards", from, to)
		}
	}
	return nil
}

func numbers(version string) [4]int {
	var all [4]int
	first, _, _ := strings.Cut(version, "-")
	for i, part := range strings.Split(first, ".") {
		if i < len(all) {
			all[i], _ = strconv.Atoi(part)
		}
	}
	return all
}
