// Package fault is what a statement is refused with.
//
// Numbers and wording are those of OceanBase's documentation (its list of error codes): an error that has no number of
// MySQL's own is answered with OceanBase's number, so -4179 arrives as ERROR 4179.
package fault

import (
	"errors"
	"fmt"
)

// Fault is an error that a client sees. It travels between servers, so its fields are public.
type Fault struct {
	Code    uint16
	State   string
	Message string
}

func (f *Fault) Error() string { return fmt.Sprintf("ERROR %d (%s): %s", f.Code, f.State, f.Message) }

// New makes a fault of any number.
func New(code uint16, state, format string, args ...any) *Fault {
	return &Fault{Code: code, State: state, Message: fmt.Sprintf(format, args...)}
}

func root(code uint16, format string, args ...any) *Fault { return New(code, "HY000", format, args...) }

// Of turns any error into a fault; what was no fault is an internal error.
func Of(err error) *Fault {
	if err == nil {
		return nil
	}
	if fault := (*Fault)(nil); errors.As(err, &fault) {
		return fault
	}
	return root(4016, "Internal error: %v", err)
}

// Is tells whether an error is the fault of this number.
func Is(err error, code uint16) bool {
	fault := (*Fault)(nil)
	return errors.As(err, &fault) && fault.Code == code
}

// NotAllowed is OB_OP_NOT_ALLOW, with which OceanBase refuses most of what would be unsafe.
func NotAllowed(format string, args ...any) *Fault {
	return root(4179, "%s not allowed", fmt.Sprintf(format, args...))
}

// InitTwice is what a bootstrap is answered with when a server named in it is not empty.
func InitTwice() *Fault { return root(4005, "The object is initialized twice") }

// Timeout is OB_TIMEOUT: no answer within ob_query_timeout, which is also what a lost majority looks like.
func Timeout(micros int64) *Fault {
	return root(4012, "Timeout, query has reached the maximum query timeout: %d(us), maybe you can adjust the session "+
		"variable ob_query_timeout or query_timeout hint, and try again.", micros)
}

// Unknown is OB_RESULT_UNKNOWN: the statement may or may not have been carried out.
func Unknown() *Fault { return root(4081, "Unknown result") }

// Inner is OB_INNER_STAT_ERROR: there is no cluster behind this server yet.
func Inner() *Fault { return root(4014, "Inner state error") }

// NotSupported is for what the real one has and this stand-in has not.
func NotSupported(what string) *Fault {
	return New(1235, "0A000", "%s not supported (by the stand-in observer; its README lists what is)", what)
}

// Syntax is a statement that nobody understands.
func Syntax(format string, args ...any) *Fault {
	return New(1064, "42000", "You have an error in your SQL syntax; check the manual that corresponds to your "+
		"OceanBase version for the right syntax to use: %s", fmt.Sprintf(format, args...))
}

// Exists is OB_ENTRY_EXIST.
func Exists(format string, args ...any) *Fault { return root(4017, format, args...) }

// Missing is OB_ENTRY_NOT_EXIST.
func Missing(format string, args ...any) *Fault { return root(4018, format, args...) }

// NoZone is OB_ZONE_INFO_NOT_EXIST.
func NoZone(zone string) *Fault { return root(4530, "Zone info '%s' not exist", zone) }

// Initializing is OB_SERVER_IS_INIT: the server is a member, and does not know yet what was agreed.
func Initializing() *Fault { return New(8001, "08004", "Server is initializing") }

// ZoneStatus is OB_ZONE_STATUS_NOT_MATCH.
func ZoneStatus() *Fault { return root(4633, "zone status not match") }

// ZoneNotEmpty is OB_ERR_ZONE_NOT_EMPTY.
func ZoneNotEmpty(alive, dead int) *Fault {
	return root(4668, "The zone is not empty and can not be deleted. You should delete the servers of the zone. "+
		"There are %d servers alive and %d not alive.", alive, dead)
}

// ZoneFull is OB_ZONE_RESOURCE_NOT_ENOUGH: no other server of the zone can take the unit over.
func ZoneFull(zone string) *Fault {
	return root(4733, "zone '%s' resource not enough to hold 1 unit. You can check resource info by views: "+
		"DBA_OB_UNITS, GV$OB_UNITS, GV$OB_SERVERS.", zone)
}

// MultipleZones is OB_STOP_SERVER_IN_MULTIPLE_ZONES.
func MultipleZones() *Fault { return root(4660, "cannot stop server or stop zone in multiple zones") }

// ServerZone is OB_SERVER_ZONE_NOT_MATCH.
func ServerZone() *Fault { return root(4631, "server zone not match") }

// ServerNotActive is OB_SERVER_NOT_ACTIVE.
func ServerNotActive() *Fault { return root(4637, "server is not active") }

// AlreadyDeleted is OB_SERVER_ALREADY_DELETED.
func AlreadyDeleted() *Fault { return root(4628, "server has already been deleted") }

// NotDeleting is OB_SERVER_NOT_DELETING.
func NotDeleting() *Fault { return root(4629, "server is not in deleting status") }

// ClusterName is OB_CLUSTER_NO_MATCH.
func ClusterName(name string) *Fault { return root(4666, "cluster name does not match to '%s'", name) }

// ClusterID is OB_CLUSTER_ID_NO_MATCH.
func ClusterID() *Fault { return root(4700, "cluster id does not match") }

// Root is an error of the root service that needs no function of its own.
func Root(code uint16, format string, args ...any) *Fault { return root(code, format, args...) }

// BadConfig is OB_INVALID_CONFIG.
func BadConfig(format string, args ...any) *Fault { return root(4147, format, args...) }

// NoTable is MySQL's own.
func NoTable(database, table string) *Fault {
	return New(1146, "42S02", "Table '%s.%s' doesn't exist", database, table)
}

// NoDatabase is MySQL's own; a server without a cluster knows no database, not even oceanbase.
func NoDatabase(name string) *Fault { return New(1049, "42000", "Unknown database '%s'", name) }

// NoneSelected is MySQL's own.
func NoneSelected() *Fault { return New(1046, "3D000", "No database selected") }

// NoColumn is MySQL's own.
func NoColumn(name string) *Fault { return New(1054, "42S22", "Unknown column '%s'", name) }

// Denied is OB_ERR_NO_PRIVILEGE.
func Denied(privilege string) *Fault {
	return New(1227, "42501", "Access denied; you need (at least one of) the %s privilege(s) for this operation", privilege)
}

// UserFailed is MySQL's own.
func UserFailed(operation, user string) *Fault {
	return New(1396, "HY000", "Operation %s failed for '%s'@'%%'", operation, user)
}

// NoUser is OB_USER_NOT_EXIST.
func NoUser() *Fault { return New(1133, "42000", "Can not find any matching row in the user table") }
