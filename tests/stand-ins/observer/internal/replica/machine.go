package replica

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"atoll.dev/tests/stand-ins/observer/internal/catalogue"
	"atoll.dev/tests/stand-ins/observer/internal/fault"
	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// machine applies the log to the catalogue.
type machine struct {
	mutex   sync.RWMutex
	state   *catalogue.State
	applied uint64
}

// outcome is what a command came to.
type outcome struct {
	result *sql.Result
	fault  *fault.Fault
}

func (m *machine) Apply(log *raft.Log) any {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.applied = log.Index
	command := &catalogue.Command{}
	if err := json.Unmarshal(log.Data, command); err != nil {
		return outcome{fault: fault.Of(err)}
	}
	result, err := m.state.Apply(command)
	return outcome{result, fault.Of(err)}
}

// read looks at the catalogue, which nobody changes meanwhile.
func (m *machine) read(look func(*catalogue.State)) {
	m.mutex.RLock()
	defer m.mutex.RUnlock()
	look(m.state)
}

func (m *machine) position() uint64 {
	m.mutex.RLock()
	defer m.mutex.RUnlock()
	return m.applied
}

type saved struct {
	Applied uint64
	State   *catalogue.State
}

type snapshot []byte

func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mutex.RLock()
	defer m.mutex.RUnlock()
	text, err := json.Marshal(saved{m.applied, m.state})
	return snapshot(text), err
}

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		_ = sink.Cancel()
		return err
	}
	return sink.Close()
}

func (s snapshot) Release() {}

func (m *machine) Restore(from io.ReadCloser) error {
	defer from.Close()
	back := saved{State: &catalogue.State{}}
	if err := json.NewDecoder(from).Decode(&back); err != nil {
		return err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.state, m.applied = back.State, back.Applied
	return nil
}
