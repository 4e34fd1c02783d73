// Package peers is the port 2882: what servers say to each other. It carries the replication and a few questions.
//
// Every connection begins with whom it is meant for. An address says nothing of who is behind it: a server that lost its
// volume, or a stranger who got the address, must not be taken for the one that was there before.
package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

type hello struct {
	Kind    string // "raft" or "call"
	To      string // the volume meant; empty: whoever is there
	Cluster string // for raft
}

// Self is who this server is now.
type Self func() (volume, cluster string)

// Handler answers a question.
type Handler func(operation string, body json.RawMessage) (any, error)

// Port is the listener on 2882.
type Port struct {
	listener net.Listener
	address  string // ip:port, as others reach it
	self     Self
	handler  Handler
	streams  chan net.Conn
}

// Listen opens the port.
func Listen(bind, address string, self Self, handler Handler) (*Port, error) {
	listener, err := net.Listen("tcp", bind)
	if err != nil {
		return nil, err
	}
	port := &Port{listener: listener, address: address, self: self, handler: handler, streams: make(chan net.Conn)}
	go port.serve()
	return port, nil
}

func (p *Port) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.welcome(conn)
	}
}

func (p *Port) welcome(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	var greeting hello
	line, err := readLine(conn)
	if err == nil {
		err = json.Unmarshal(line, &greeting)
	}
	volume, cluster := p.self()
	switch {
	case err != nil:
	case greeting.To != "" && greeting.To != volume:
		err = fmt.Errorf("%s is volume %s, not %s", p.address, volume, greeting.To)
	case greeting.Kind == "raft" && (cluster == "" || greeting.Cluster != cluster):
		err = fmt.Errorf("%s is not in cluster %s", p.address, greeting.Cluster)
	}
	if err != nil {
		fmt.Fprintf(conn, "no: %v\n", err)
		conn.Close()
		return
	}
	fmt.Fprint(conn, "ok\n")
	_ = conn.SetDeadline(time.Time{})
	if greeting.Kind == "raft" {
		p.streams <- conn
		return
	}
	p.answer(conn)
}

type question struct {
	Operation string
	Body      json.RawMessage
}

type reply struct {
	Error string `json:",omitempty"`
	Body  json.RawMessage
}

func (p *Port) answer(conn net.Conn) {
	defer conn.Close()
	var asked question
	if json.NewDecoder(conn).Decode(&asked) != nil {
		return
	}
	body, err := p.handler(asked.Operation, asked.Body)
	said := reply{}
	if err != nil {
		said.Error = err.Error()
	} else if said.Body, err = json.Marshal(body); err != nil {
		said.Error = err.Error()
	}
	_ = json.NewEncoder(conn).Encode(said)
}

// readLine reads byte by byte, so that nothing of what follows the line is swallowed.
func readLine(conn io.Reader) ([]byte, error) {
	var line []byte
	one := make([]byte, 1)
	for len(line) < 4096 {
		if _, err := conn.Read(one); err != nil {
			return nil, err
		}
		if one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[0])
	}
	return nil, errors.New("the greeting is too long")
}

// ErrNotSent is that a question never left, so it can be asked again.
var ErrNotSent = errors.New("not sent")

func dial(address string, greeting hello, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNotSent, err)
	}
	_ = conn.SetDeadline(time.Now().Add(timeout))
	text, _ := json.Marshal(greeting)
	var line []byte
	if _, err = conn.Write(append(text, '\n')); err == nil {
		line, err = readLine(conn)
	}
	if err == nil && string(line) != "ok" {
		err = errors.New(string(line))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %v", ErrNotSent, err)
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// Ask asks the server at an address; with a volume, only if it is that one.
func Ask(address, volume, operation string, body, answer any, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	conn, err := dial(address, hello{Kind: "call", To: volume}, timeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(end)
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(question{operation, text}); err != nil {
		return err
	}
	var said reply
	if err := json.NewDecoder(conn).Decode(&said); err != nil {
		return err
	}
	if said.Error != "" {
		return errors.New(said.Error)
	}
	return json.Unmarshal(said.Body, answer)
}

// Join makes the address that the replication uses: ip:port/volume.
func Join(address, volume string) string { return address + "/" + volume }

// Part takes it apart.
func Part(joined string) (address, volume string) {
	address, volume, _ = strings.Cut(joined, "/")
	return address, volume
}

// Accept, Close, Addr and Dial make the port a stream layer of the replication.
func (p *Port) Accept() (net.Conn, error) { return <-p.streams, nil }

// Close closes the port.
func (p *Port) Close() error { return p.listener.Close() }

type joined string

func (j joined) Network() string { return "tcp" }
func (j joined) String() string  { return string(j) }

// Addr is how others name this server.
func (p *Port) Addr() net.Addr {
	volume, _ := p.self()
	return joined(Join(p.address, volume))
}

// Dial connects the replication with another server.
func (p *Port) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	address, volume := Part(string(to))
	_, cluster := p.self()
	return dial(address, hello{Kind: "raft", To: volume, Cluster: cluster}, timeout)
}
