package catalogue

import (
	"regexp"
	"strconv"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// Parameter is what is known of one parameter.
type Parameter struct {
	Kind    string // BOOL, INT, CAPACITY, TIME or STRING
	Default string
	Fixed   bool // set when the server is started, and never after
}

// Parameters are those of OceanBase's that an operator or a test is likely to name, with the defaults of its
// documentation. A hidden one (it begins with _) is taken as a text.
var Parameters = map[string]Parameter{
	"cluster": {"STRING", "obcluster", true}, "cluster_id": {"INT", "0", true}, "zone": {"STRING", "", true},
	"devname": {"STRING", "bond0", true}, "local_ip": {"STRING", "", true}, "data_dir": {"STRING", "store", true},
	"mysql_port": {"INT", "2881", true}, "rpc_port": {"INT", "2882", true}, "config_additional_dir": {"STRING", "", true},
	"cpu_count": {"INT", "0", false}, "memory_limit": {"CAPACITY", "0M", false},
	"memory_limit_percentage": {"INT", "80", false}, "system_memory": {"CAPACITY", "0M", false},
	"datafile_size": {"CAPACITY", "0M", false}, "datafile_maxsize": {"CAPACITY", "0", false},
	"datafile_next": {"CAPACITY", "0", false}, "datafile_disk_percentage": {"INT", "0", false},
	"log_disk_size": {"CAPACITY", "0M", false}, "log_disk_percentage": {"INT", "0", false},
	"enable_syslog_recycle": {"BOOL", "False", false}, "enable_syslog_wf": {"BOOL", "True", false},
	"max_syslog_file_count": {"INT", "0", false}, "syslog_level": {"STRING", "WDIAG", false},
	"syslog_io_bandwidth_limit": {"CAPACITY", "30MB", false}, "enable_async_syslog": {"BOOL", "True", false},
	"server_permanent_offline_time": {"TIME", "3600s", false}, "lease_time": {"TIME", "10s", false},
	"enable_rebalance": {"BOOL", "True", false}, "enable_rereplication": {"BOOL", "True", false},
	"enable_transfer": {"BOOL", "True", false}, "enable_upgrade_mode": {"BOOL", "False", false},
	"enable_major_freeze": {"BOOL", "True", false}, "enable_ddl": {"BOOL", "True", false},
	"enable_sys_table_ddl": {"BOOL", "False", false}, "enable_sql_audit": {"BOOL", "True", false},
	"enable_perf_event": {"BOOL", "True", false}, "enable_record_trace_log": {"BOOL", "False", false},
	"enable_monotonic_weak_read": {"BOOL", "False", false}, "min_observer_version": {"STRING", "", false},
	"major_freeze_duty_time": {"STRING", "02:00", false}, "trace_log_slow_query_watermark": {"TIME", "1s", false},
	"large_query_threshold": {"TIME", "5s", false}, "large_query_worker_percentage": {"INT", "30", false},
	"freeze_trigger_percentage": {"INT", "20", false}, "memstore_limit_percentage": {"INT", "0", false},
	"minor_compact_trigger": {"INT", "2", false}, "undo_retention": {"INT", "1800", false},
	"cpu_quota_concurrency": {"INT", "4", false}, "workers_per_cpu_quota": {"INT", "10", false},
	"net_thread_count": {"INT", "0", false}, "stack_size": {"CAPACITY", "512K", false},
	"location_cache_refresh_interval": {"TIME", "10s", false}, "resource_hard_limit": {"INT", "100", false},
	"balancer_idle_time": {"TIME", "10s", false}, "tablet_meta_table_check_interval": {"TIME", "30m", false},
	"default_auto_increment_mode": {"STRING", "order", false}, "compatible": {"STRING", "4.2.1.7", false},
	"recyclebin_object_expire_time": {"TIME", "0s", false}, "open_cursors": {"INT", "50", false},
	"ob_startup_mode": {"STRING", "NORMAL", true}, "schema_history_expire_time": {"TIME", "7d", false},
	"obconfig_url": {"STRING", "", false}, "rootservice_list": {"STRING", "", false},
}

var shapes = map[string]*regexp.Regexp{
	"BOOL":     regexp.MustCompile(`(?i)^(true|false|on|off|yes|no|t|f|1|0)$`),
	"INT":      regexp.MustCompile(`^-?\d+$`),
	"CAPACITY": regexp.MustCompile(`(?i)^\d+([bkmgtp]b?)?$`),
	"TIME":     regexp.MustCompile(`(?i)^\d+(us|ms|s|m|h|d)?$`),
	"STRING":   regexp.MustCompile(`(?s).*`),
}

// CheckParameter tells what is wrong with a setting, if something is.
func CheckParameter(name, value string) (Parameter, error) {
	parameter, found := Parameters[name]
	if !found {
		if !strings.HasPrefix(name, "_") {
			return parameter, fault.New(5099, "42000", "System config unknown: %s", name)
		}
		parameter = Parameter{Kind: "STRING"}
	}
	if !shapes[parameter.Kind].MatchString(value) {
		return parameter, fault.BadConfig("Invalid config: %s = '%s' is no %s", name, value, parameter.Kind)
	}
	return parameter, nil
}

// Bytes reads a capacity; a bare number counts as bytes here.
func Bytes(capacity string) int64 {
	digits := strings.TrimRight(strings.ToUpper(capacity), "BKMGTP")
	size, _ := strconv.ParseInt(digits, 10, 64)
	switch unit := strings.TrimSuffix(strings.ToUpper(capacity)[len(digits):], "B"); unit {
	case "K", "M", "G", "T", "P":
		return size << (10 * (1 + strings.Index("KMGTP", unit)))
	}
	return size
}

func (s *State) setParameters(set *sql.SetParameters) error {
	for _, setting := range set.Settings {
		parameter, err := CheckParameter(setting.Name, setting.Value)
		switch {
		case err != nil:
			return err
		case parameter.Fixed:
			return fault.NotAllowed("modify parameter %s, which is read-only,", setting.Name)
		case setting.Zone != "" && s.zone(setting.Zone) == nil:
			return fault.NoZone(setting.Zone)
		case setting.Server != "" && s.at(setting.Server) == nil:
			return fault.Missing("Entry not exist: server %s", setting.Server)
		}
	}
	for _, setting := range set.Settings {
		kept := s.Parameters[:0:0]
		for _, before := range s.Parameters {
			wider := setting.Zone == "" && setting.Server == ""
			if before.Name != setting.Name || !wider && (before.Zone != setting.Zone || before.Server != setting.Server) {
				kept = append(kept, before)
			}
		}
		s.Parameters = append(kept, setting)
	}
	return nil
}

// Effective is a parameter's value at a server: what was set there, in its zone or everywhere, whichever came last;
// else what the server was started with; else the default.
func (s *State) Effective(server *Server, name string) string {
	for at := len(s.Parameters) - 1; at >= 0; at-- {
		setting := s.Parameters[at]
		if setting.Name == name && (setting.Zone == "" || setting.Zone == server.Zone) &&
			(setting.Server == "" || setting.Server == server.Address()) {
			return setting.Value
		}
	}
	switch name {
	case "enable_upgrade_mode":
		return strings.Title(strconv.FormatBool(s.Upgrade.Mode)) //nolint:staticcheck // ASCII
	case "min_observer_version":
		return number(s.Upgrade.MinVersion)
	}
	if value, given := server.Options[name]; given {
		return value
	}
	return Parameters[name].Default
}

// names are all parameters that a server has.
func (s *State) names() []string {
	all := map[string]bool{}
	for name := range Parameters {
		all[name] = true
	}
	for _, name := range s.options() {
		all[name] = true
	}
	for _, setting := range s.Parameters {
		all[setting.Name] = true
	}
	return sorted(all)
}
