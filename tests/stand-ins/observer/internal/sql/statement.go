package sql

// Statement is one of the types below.
type Statement any

// ZoneServer is a pair of BOOTSTRAP.
type ZoneServer struct{ Zone, Server string }

// Bootstrap is ALTER SYSTEM BOOTSTRAP ZONE 'z' SERVER 'ip:port', …
type Bootstrap struct{ Servers []ZoneServer }

// ServerChange is ALTER SYSTEM {ADD|DELETE|CANCEL DELETE|START|STOP} SERVER 'ip:port', … [ZONE 'z'].
type ServerChange struct {
	Verb    string
	Servers []string
	Zone    string
}

// ZoneChange is ALTER SYSTEM {ADD|DELETE|START|STOP|ALTER} ZONE z [REGION 'r'] [IDC 'i'].
type ZoneChange struct {
	Verb, Zone string
	Options    map[string]string
}

// SetParameters is ALTER SYSTEM SET name = value [SERVER 'ip:port' | ZONE 'z'], …
type SetParameters struct{ Settings []Setting }

// Setting is one parameter, for the whole cluster, a zone or a server.
type Setting struct{ Name, Value, Zone, Server string }

// Upgrade is ALTER SYSTEM {BEGIN|END} [ROLLING] UPGRADE and RUN UPGRADE JOB.
type Upgrade struct{ Verb, Job string }

// AlterTenant is ALTER TENANT name [SET] LOCALITY = '…', PRIMARY_ZONE = '…'.
type AlterTenant struct {
	Tenant  string
	Options map[string]string
}

// Unit is {CREATE|ALTER|DROP} RESOURCE UNIT.
type Unit struct {
	Verb, Name string
	Lenient    bool // IF [NOT] EXISTS
	Options    map[string]string
}

// Pool is {CREATE|ALTER|DROP} RESOURCE POOL.
type Pool struct {
	Verb, Name, Unit string
	Lenient          bool
	UnitNum          int64
	Zones            []string // nil where the statement says nothing of zones
}

// UserChange is {CREATE|ALTER|DROP} USER and SET PASSWORD.
type UserChange struct {
	Verb    string
	Lenient bool
	Users   []Account
}

// Account is a user and the password given, if one is.
type Account struct {
	Name     string
	Password *string
}

// Grant is GRANT or REVOKE.
type Grant struct {
	Revoke     bool
	Privileges []string
	On         string // `*.*` or `database.*` or `database.table`
	Users      []string
	WithGrant  bool
}

// DatabaseChange is CREATE or DROP DATABASE.
type DatabaseChange struct {
	Verb, Name string
	Lenient    bool
}

// Name is a table, with its database where the statement says it.
type Name struct{ Database, Table string }

// CreateTable is CREATE TABLE with the types and options of the README.
type CreateTable struct {
	Name    Name
	Lenient bool
	Columns []Column
	Key     []string
}

// Column is a column of an ordinary table.
type Column struct {
	Name    string
	Numeric bool
	NotNull bool
	Auto    bool
	Default *Value
}

// DropTable is DROP TABLE.
type DropTable struct {
	Name    Name
	Lenient bool
}

// Insert is INSERT, INSERT IGNORE and REPLACE.
type Insert struct {
	Name    Name
	Columns []string
	Rows    [][]Expr
	Ignore  bool
	Replace bool
}

// Update is UPDATE of one table.
type Update struct {
	Name  Name
	Set   []Assignment
	Where Expr
}

// Assignment is a column and its new value.
type Assignment struct {
	Column string
	To     Expr
}

// Delete is DELETE from one table.
type Delete struct {
	Name  Name
	Where Expr
}

// Select is SELECT from one table or view, or from none.
type Select struct {
	Items []Item
	From  *Name
	Where Expr
	Order []Order
	Limit int // -1: no limit
}

// Item is one thing selected.
type Item struct {
	Star  bool
	Expr  Expr
	Label string
}

// Order is one column of ORDER BY.
type Order struct {
	Expr       Expr
	Descending bool
}

// Show is SHOW DATABASES, TABLES, PARAMETERS, VARIABLES, GRANTS, WARNINGS.
type Show struct {
	What, Like, User string
	Database         string
	Where            Expr
}

// Use is USE database.
type Use struct{ Database string }

// SetSession is SET of session variables; the text is for those that matter (ob_query_timeout, autocommit).
type SetSession struct{ Variables map[string]string }

// Transaction is BEGIN, START TRANSACTION, COMMIT or ROLLBACK.
type Transaction struct{ Verb string }

// Writes tells whether a statement changes what is replicated.
func Writes(statement Statement) bool {
	switch statement.(type) {
	case *Select, *Show, *Use, *SetSession, *Transaction:
		return false
	}
	return true
}
