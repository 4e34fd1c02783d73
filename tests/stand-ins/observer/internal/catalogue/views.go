package catalogue

import (
	"strings"
	"time"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// Facts are what a view shows beyond the catalogue: who leads, and who votes.
type Facts struct {
	Leader string // volume
	Voters []string
}

// view makes the rows of one of OceanBase's views. Its columns are those of OceanBase's documentation for 4.2, in
// their order, and in the spelling (a text column is plain, a number's name begins with #).
type view struct {
	columns string
	rows    func(*State, Facts) [][]any
}

var views = map[string]view{}

func init() {
	for _, group := range []map[string]view{clusterViews, tenantViews, configViews, userViews} {
		for name, view := range group {
			views[name] = view
		}
	}
}

func (v view) heads() []sql.Head {
	var heads []sql.Head
	for _, name := range strings.Fields(v.columns) {
		heads = append(heads, sql.Head{Label: strings.TrimPrefix(name, "#"), Numeric: name[0] == '#'})
	}
	return heads
}

// Source finds what a query selects from: a table, a view, or nothing. Without a founded cluster there is no table at
// all, only nothing.
func (s *State) Source(database string, query *sql.Select, facts Facts) (sql.Source, error) {
	if query.From == nil {
		return sql.Source{Rows: [][]sql.Value{nil}}, nil
	}
	if query.From.Database != "" {
		database = query.From.Database
	}
	database, name := strings.ToLower(database), strings.ToLower(query.From.Table)
	switch {
	case database == "":
		return sql.Source{}, fault.NoneSelected()
	case !s.Founded:
		return sql.Source{}, fault.NoTable(database, query.From.Table)
	case !has(reserved, database):
		table, err := s.table(database, *query.From)
		if err != nil {
			return sql.Source{}, err
		}
		return table.source(), nil
	}
	view, found := views[database+"."+name]
	if !found {
		return sql.Source{}, fault.NoTable(database, query.From.Table)
	}
	return view.source(s, facts), nil
}

func (v view) source(s *State, facts Facts) sql.Source {
	source := sql.Source{Heads: v.heads()}
	for _, cells := range v.rows(s, facts) {
		row := make([]sql.Value, len(cells))
		for i, cell := range cells {
			row[i] = valueOf(cell)
		}
		source.Rows = append(source.Rows, row)
	}
	return source
}

func valueOf(cell any) sql.Value {
	switch cell := cell.(type) {
	case int:
		return sql.Number(int64(cell))
	case int64:
		return sql.Number(cell)
	case string:
		return sql.Text(cell)
	case when:
		if cell == 0 {
			return sql.Null
		}
		return sql.Text(time.UnixMicro(int64(cell)).UTC().Format("2006-01-02 15:04:05.000000"))
	case bool:
		if cell {
			return sql.Text("YES")
		}
		return sql.Text("NO")
	}
	return sql.Null
}

// when is a time in microseconds, shown as OceanBase shows a timestamp(6).
type when int64

// sqlPort is where every server of the stand-in listens for clients.
const sqlPort = 2881

func status(server *Server) string {
	switch {
	case server.Deleting:
		return "DELETING"
	case server.Alive:
		return "ACTIVE"
	}
	return "INACTIVE"
}

func (s *State) leads(server *Server, facts Facts) bool { return server.Volume == facts.Leader }

// build is a version as OceanBase writes it in build_version: 4.2.1.7_107000162024060611-…
func build(version string) string {
	return strings.Replace(version, "-", "_", 1) + "-0000000000000000000000000000000000000000(stand-in)"
}
