// Package volume is what a server keeps: who it is, which cluster it belongs to, and the replicated log.
//
// Layout, as ob-operator's helper links it: data-file/etc has the parameters (observer.conf.bin), data-file/sstable the
// snapshots, data-log/clog the log. Whoever loses both volumes is a stranger; whoever has one of them is nobody.
package volume

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Conf is observer.conf.bin. The real one is binary, and like this one it is what a restart goes by.
type Conf struct {
	Volume      string // the identity of this volume, made with it
	ClusterName string
	ClusterID   int64
	Zone        string
	IP          string
	Options     map[string]string
	Cluster     string // the cluster that was joined; empty before
}

// Volume is an open volume.
type Volume struct {
	data, log string
	mutex     sync.Mutex
	conf      Conf
	lock      *os.File
}

// Known tells whether these volumes belong to a server already, and to which.
func Known(data, log string) (*Conf, error) {
	text, err := os.ReadFile(filepath.Join(data, "etc", "observer.conf.bin"))
	_, logged := os.Stat(filepath.Join(log, "clog", "raft.db"))
	if errors.Is(err, fs.ErrNotExist) {
		if logged == nil {
			return nil, fmt.Errorf("%s holds the log of a server whose data volume is gone: %s is empty; "+
				"give both volumes back, or empty both", log, data)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	conf := &Conf{}
	if err := json.Unmarshal(text, conf); err != nil {
		return nil, fmt.Errorf("%s/etc/observer.conf.bin is damaged: %w", data, err)
	}
	if conf.Cluster != "" && logged != nil {
		return nil, fmt.Errorf("%s has no log, but %s belongs to a member of cluster %s: the log volume was lost", log, data, conf.ClusterName)
	}
	if text, err := os.ReadFile(filepath.Join(log, "clog", "volume")); logged == nil && (err != nil || strings.TrimSpace(string(text)) != conf.Volume) {
		return nil, fmt.Errorf("%s belongs to another server than %s", log, data)
	}
	return conf, nil
}

// Open takes the volumes, and makes an identity where they are new.
func Open(data, log string, conf Conf) (*Volume, error) {
	for _, dir := range []string{filepath.Join(data, "etc"), filepath.Join(data, "sstable"), filepath.Join(log, "clog")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	v := &Volume{data: data, log: log, conf: conf}
	var err error
	if v.lock, err = os.OpenFile(filepath.Join(data, "etc", "lock"), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, err
	}
	if syscall.Flock(int(v.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil, fmt.Errorf("%s is in use by another process", data)
	}
	if conf.Cluster != "" {
		return v, nil
	}
	if conf.Volume == "" {
		v.conf.Volume = random()
	}
	// First the log's side: it counts only once there is a log, so a crash in between leaves a new server.
	if err := write(filepath.Join(log, "clog", "volume"), []byte(v.conf.Volume)); err != nil {
		return nil, err
	}
	return v, v.save()
}

// Conf is what the volume says.
func (v *Volume) Conf() Conf {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return v.conf
}

// Log and Snapshots are where the replication keeps its things.
func (v *Volume) Log() string       { return filepath.Join(v.log, "clog", "raft.db") }
func (v *Volume) Snapshots() string { return filepath.Join(v.data, "sstable") }

// Join records the cluster. It happens once in a volume's life.
func (v *Volume) Join(cluster string) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.conf.Cluster != "" {
		return errors.New("this volume belongs to a cluster already")
	}
	v.conf.Cluster = cluster
	return v.save()
}

func (v *Volume) save() error {
	text, err := json.MarshalIndent(v.conf, "", "  ")
	if err != nil {
		return err
	}
	return write(filepath.Join(v.data, "etc", "observer.conf.bin"), text)
}

// write replaces a file at once or not at all, and returns when the disk has it.
func write(path string, text []byte) error {
	file, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Random makes the name of a volume or a cluster.
func random() string {
	bytes := make([]byte, 8)
	_, _ = rand.Read(bytes) // It never fails.
	return hex.EncodeToString(bytes)
}

// NewCluster makes the name of a cluster that is being founded.
func NewCluster() string { return random() }
