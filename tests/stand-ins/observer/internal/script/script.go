// Package script is python2 with OceanBase's four upgrade scripts, which ob-operator runs in Jobs of the observer's image:
//
//	python2 /home/admin/oceanbase/etc/upgrade_checker.py -hHOST -P2881 -uroot -pPASSWORD
//
// The real ones check and change far more. These do what shows in the protocol: look whether the cluster may be upgraded,
// open the upgrade, look whether it is healthy, close it.
package script

import (
	"fmt"
	"path"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
)

// home is where the image has the scripts.
const home = "/home/admin/oceanbase/etc/"

// same is wanted of a statement whose two columns should be equal.
const same = "the second column"

type check struct{ statement, want, complaint string }

var (
	active = check{"SELECT count(*) FROM oceanbase.DBA_OB_SERVERS WHERE status <> 'ACTIVE' OR start_service_time IS NULL OR stop_time IS NOT NULL",
		"0", "servers are not active"}
	versions = check{"SELECT min(build_version), max(build_version) FROM oceanbase.DBA_OB_SERVERS", same, "the servers' versions differ"}
	jobs     = check{"SELECT count(*) FROM oceanbase.DBA_OB_TENANT_JOBS WHERE job_status = 'INPROGRESS'", "0", "jobs are under way"}
	leader   = check{"SELECT count(*) FROM oceanbase.GV$OB_LOG_STAT WHERE role = 'LEADER'", "1", "nobody leads"}
	closed   = check{"SELECT count(*) FROM oceanbase.GV$OB_PARAMETERS WHERE name = 'enable_upgrade_mode' AND value = 'True'", "0", "an upgrade is under way"}
	zones    = check{"SELECT count(*) FROM oceanbase.DBA_OB_ZONES WHERE status <> 'ACTIVE'", "0", "zones are not active"}
)

type plan struct {
	checks     []check
	statements []string
}

var scripts = map[string]plan{
	"upgrade_checker.py":        {checks: []check{active, zones, versions, jobs, closed}},
	"upgrade_pre.py":            {statements: []string{"ALTER SYSTEM BEGIN UPGRADE", "ALTER SYSTEM BEGIN ROLLING UPGRADE"}},
	"upgrade_health_checker.py": {checks: []check{active, leader, jobs}},
	"upgrade_post.py": {checks: []check{active, versions}, statements: []string{
		"ALTER SYSTEM END ROLLING UPGRADE", `ALTER SYSTEM RUN UPGRADE JOB "UPGRADE_ALL"`, "ALTER SYSTEM END UPGRADE",
	}},
}

// Run runs a script with its arguments, and tells each step on out.
func Run(arguments []string, out func(string, ...any)) error {
	if len(arguments) == 0 || path.Dir(arguments[0])+"/" != home {
		return fmt.Errorf("the stand-in's python2 knows only the scripts in %s", home)
	}
	plan, found := scripts[path.Base(arguments[0])]
	if !found {
		return fmt.Errorf("there is no script %s", arguments[0])
	}
	given, err := options(arguments[1:])
	if err != nil {
		return err
	}
	if given["-h"] == "" || given["-P"] == "" || given["-u"] == "" {
		return fmt.Errorf("the scripts need -h, -P and -u")
	}
	conn, err := client.Connect(given["-h"]+":"+given["-P"], given["-u"], given["-p"], "oceanbase")
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, check := range plan.checks {
		result, err := conn.Execute(check.statement)
		if err != nil {
			return err
		}
		want := check.want
		if want == same {
			if want, err = result.GetString(0, 1); err != nil {
				return err
			}
		}
		got, err := result.GetString(0, 0)
		if err == nil && got != want {
			err = fmt.Errorf("%s", check.complaint)
		}
		if err != nil {
			return err
		}
		out("checked: not that %s", check.complaint)
	}
	for _, statement := range plan.statements {
		if _, err := conn.Execute(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
		out("done: %s", statement)
	}
	return nil
}

// options reads -hHOST and -h HOST alike. -t (a timeout) and -z (the zone that is upgraded) are taken and not needed.
func options(arguments []string) (map[string]string, error) {
	given := map[string]string{}
	for at := 0; at < len(arguments); at++ {
		argument := arguments[at]
		if len(argument) < 2 || !strings.Contains("hPuptz", argument[1:2]) || argument[0] != '-' {
			return nil, fmt.Errorf("the scripts have no argument %.2s…", argument)
		}
		value := argument[2:]
		if value == "" && at+1 < len(arguments) {
			at++
			value = arguments[at]
		}
		given[argument[:2]] = value
	}
	return given, nil
}
