package replica

import (
	"strings"
	"testing"
)

// members reads "a b* c": the members, those with a vote starred.
func members(text string) map[string]member {
	all := map[string]member{}
	for _, name := range strings.Fields(text) {
		volume := strings.TrimRight(name, "*")
		all[volume] = member{volume: volume, votes: strings.HasSuffix(name, "*")}
	}
	return all
}

func TestTheNextStepIsAlwaysOneThatAMajoritySurvives(t *testing.T) {
	for _, one := range []struct{ why, have, want, alive, step string }{
		{"nothing differs", "a* b* c*", "a* b* c*", "a b c", ""},
		{"who is new learns first", "a* b* c*", "a* b* c* d*", "a b c d", "learn d"},
		{"and then votes", "a* b* c* d", "a* b* c* d*", "a b c d", "vote d"},
		{"who is new and does not answer waits", "a* b* c*", "a* b* c* d", "a b c", ""},
		{"a vote is not given while one more would be too many", "a* b* c* d", "a* b* c* d*", "a d", ""},
		{"a live vote is replaced before it goes", "a* b* c* d", "b* c* d*", "a b c d", "vote d"},
		{"and goes then", "a* b* c* d*", "b* c* d*", "a b c d", "demote a"},
		{"a dead vote goes first", "a* b* c* d", "b* c* d*", "b c d", "demote a"},
		{"but not when those left are no majority", "a* b* c* d", "b* c* d*", "b d", ""},
		{"who has no vote is forgotten", "a b* c* d*", "b* c* d*", "a b c d", "forget a"},
		{"dead or not", "a b* c* d*", "b* c* d*", "b c d", "forget a"},
		{"a zone leaves three", "a* b* c*", "a b* c*", "a b c", "demote a"},
		{"a zone does not leave three of which one is dead", "a* b* c*", "a b* c*", "a b", ""},
	} {
		alive := map[string]bool{}
		for _, name := range strings.Fields(one.alive) {
			alive[name] = true
		}
		step, found := next(members(one.have), members(one.want), alive)
		if got := strings.TrimSpace(step.verb + " " + step.member.volume); got != one.step || found != (one.step != "") {
			t.Errorf("%s: the step is %q and not %q", one.why, got, one.step)
		}
	}
}
