package replica

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// store keeps the replication's log in one file. The store that is published for this library needs an older release of
// a library of metrics than the library itself; this is all that it does.
type store struct{ db *bbolt.DB }

var (
	logs     = []byte("logs")
	settings = []byte("settings")
)

func openStore(path string) (*store, error) {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return nil, err
	}
	return &store{db}, db.Update(func(tx *bbolt.Tx) error {
		_, first := tx.CreateBucketIfNotExists(logs)
		_, second := tx.CreateBucketIfNotExists(settings)
		return errors.Join(first, second)
	})
}

func key(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

func (s *store) edge(of func(*bbolt.Cursor) ([]byte, []byte)) (index uint64, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if key, _ := of(tx.Bucket(logs).Cursor()); key != nil {
			index = binary.BigEndian.Uint64(key)
		}
		return nil
	})
	return index, err
}

func (s *store) FirstIndex() (uint64, error) { return s.edge((*bbolt.Cursor).First) }
func (s *store) LastIndex() (uint64, error)  { return s.edge((*bbolt.Cursor).Last) }

func (s *store) GetLog(index uint64, into *raft.Log) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		text := tx.Bucket(logs).Get(key(index))
		if text == nil {
			return raft.ErrLogNotFound
		}
		return json.Unmarshal(text, into)
	})
}

func (s *store) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// StoreLogs returns when the disk has them: what was acknowledged must outlive the process.
func (s *store) StoreLogs(list []*raft.Log) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, log := range list {
			text, err := json.Marshal(log)
			if err != nil {
				return err
			}
			if err := tx.Bucket(logs).Put(key(log.Index), text); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) DeleteRange(low, high uint64) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for index := low; index <= high; index++ {
			if err := tx.Bucket(logs).Delete(key(index)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) Set(name, value []byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(settings).Put(name, value) })
}

func (s *store) Get(name []byte) (value []byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if found := tx.Bucket(settings).Get(name); found != nil {
			value = append([]byte{}, found...)
			return nil
		}
		return errors.New("not found") // The library compares the text.
	})
	return value, err
}

func (s *store) SetUint64(name []byte, value uint64) error { return s.Set(name, key(value)) }

func (s *store) GetUint64(name []byte) (uint64, error) {
	value, err := s.Get(name)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(value), nil
}
