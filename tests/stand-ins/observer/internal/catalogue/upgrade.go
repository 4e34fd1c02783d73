package catalogue

import (
	"strconv"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// upgrade has the order of OceanBase's upgrade scripts: BEGIN UPGRADE, BEGIN ROLLING UPGRADE, the servers one after the
// other, END ROLLING UPGRADE, RUN UPGRADE JOB, END UPGRADE. A step out of order is refused, and so is an end while the
// servers differ. Beginning again is not: an operator whose answer was lost repeats it.
func (s *State) upgrade(statement *sql.Upgrade) error {
	versions := map[string]bool{}
	for _, server := range s.Servers {
		versions[number(server.Version)] = true
	}
	switch statement.Verb {
	case "BEGIN":
		s.Upgrade.Mode, s.Upgrade.Rolling = true, false
	case "BEGIN ROLLING":
		if !s.Upgrade.Mode {
			return fault.NotAllowed("begin rolling upgrade without begin upgrade")
		}
		s.Upgrade.Rolling = true
	case "END ROLLING":
		switch {
		case !s.Upgrade.Mode:
			return fault.NotAllowed("end rolling upgrade without begin upgrade")
		case len(versions) > 1:
			return fault.NotAllowed("end rolling upgrade while servers have %d versions", len(versions))
		}
		s.Upgrade.Rolling = false
		s.Upgrade.MinVersion = s.Servers[0].Version
	case "RUN":
		s.Upgrade.Jobs = append(s.Upgrade.Jobs, statement.Job)
		s.Jobs = append(s.Jobs, &Job{
			ID: s.next(), Type: "UPGRADE_ALL", Status: Success, Text: statement.Job, Started: s.Now, Modified: s.Now, Due: s.Now,
		})
	case "END":
		switch {
		case s.Upgrade.Rolling:
			return fault.NotAllowed("end upgrade during a rolling upgrade")
		case len(versions) > 1:
			return fault.NotAllowed("end upgrade while servers have %d versions", len(versions))
		}
		s.Upgrade.Mode = false
		s.Upgrade.MinVersion = s.Servers[0].Version
	}
	return nil
}

// number is the first part of a version like 4.2.1.7-107000162024060611.
func number(version string) string {
	first, _, _ := strings.Cut(version, "-")
	return first
}

// older compares versions by number.
func older(version, than string) bool {
	a, b := strings.Split(number(version), "."), strings.Split(number(than), ".")
	for i := 0; i < len(a) && i < len(b); i++ {
		x, _ := strconv.Atoi(a[i])
		y, _ := strconv.Atoi(b[i])
		if x != y {
			return x < y
		}
	}
	return false
}
