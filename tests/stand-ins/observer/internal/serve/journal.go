package serve

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// Journal lists every statement that this server was given, in the order in which they ended, one JSON object a line,
// without passwords. A test reads from it that each statement was sent once.
type Journal struct {
	mutex sync.Mutex
	out   io.Writer
	count int
}

// Entry is one line.
type Entry struct {
	Statement int     `json:"statement,omitempty"` // counts from 1, by process
	At        string  `json:"at"`
	User      string  `json:"user"`
	From      string  `json:"from"`
	SQL       string  `json:"sql,omitempty"`
	Login     string  `json:"login,omitempty"` // "refused"
	Took      float64 `json:"seconds"`
	Index     uint64  `json:"index,omitempty"` // its place in the replicated log, which orders the lists of all servers
	Error     string  `json:"error,omitempty"`
}

// NewJournal writes to out.
func NewJournal(out io.Writer) *Journal { return &Journal{out: out} }

func (j *Journal) statement(user, from, text string, began time.Time, index uint64, err error) {
	entry := Entry{User: user, From: from, SQL: sql.Mask(text), Took: time.Since(began).Seconds(), Index: index}
	if err != nil {
		entry.Error = err.Error()
	}
	j.write(entry, true)
}

func (j *Journal) login(user, from string, err error) {
	j.write(Entry{User: user, From: from, Login: "refused", Error: err.Error()}, false)
}

func (j *Journal) write(entry Entry, counts bool) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if counts {
		j.count++
		entry.Statement = j.count
	}
	entry.At = time.Now().UTC().Format(time.RFC3339Nano)
	lines := json.NewEncoder(j.out)
	lines.SetEscapeHTML(false) // A statement with < or > is to be found as it was sent.
	_ = lines.Encode(entry)
}
