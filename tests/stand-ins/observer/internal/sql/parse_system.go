package sql

import (
	"strconv"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/fault"
)

// system reads what follows ALTER SYSTEM.
func (p *parser) system() Statement {
	switch {
	case p.words("BOOTSTRAP"):
		bootstrap := &Bootstrap{}
		for {
			p.need("ZONE")
			p.equals()
			pair := ZoneServer{Zone: p.text()}
			p.need("SERVER")
			p.equals()
			pair.Server = p.text()
			bootstrap.Servers = append(bootstrap.Servers, pair)
			if !p.words(",") {
				return bootstrap
			}
		}
	case p.words("SET"), p.words("SETP"):
		return p.settings()
	case p.words("BEGIN", "UPGRADE"):
		return &Upgrade{Verb: "BEGIN"}
	case p.words("BEGIN", "ROLLING", "UPGRADE"):
		return &Upgrade{Verb: "BEGIN ROLLING"}
	case p.words("END", "ROLLING", "UPGRADE"):
		return &Upgrade{Verb: "END ROLLING"}
	case p.words("END", "UPGRADE"):
		return &Upgrade{Verb: "END"}
	case p.words("RUN", "UPGRADE", "JOB"):
		return &Upgrade{Verb: "RUN", Job: p.text()}
	case p.words("CANCEL", "DELETE", "SERVER"):
		return p.servers("CANCEL DELETE")
	}
	verb := p.one("ADD", "DELETE", "START", "STOP", "ALTER", "CHANGE", "MODIFY")
	if p.words("SERVER") {
		return p.servers(verb)
	}
	p.need("ZONE")
	if verb == "CHANGE" || verb == "MODIFY" {
		verb = "ALTER" // The three words mean the same.
	}
	change := &ZoneChange{Verb: verb, Zone: p.text(), Options: map[string]string{}}
	p.words("SET")
	for p.at < len(p.tokens) {
		option := p.one("REGION", "IDC", "ZONE_TYPE")
		p.equals()
		change.Options[option] = p.text()
		p.words(",")
	}
	return change
}

func (p *parser) servers(verb string) Statement {
	if verb == "ALTER" || verb == "CHANGE" || verb == "MODIFY" {
		p.fail()
	}
	change := &ServerChange{Verb: verb, Servers: p.texts()}
	if p.words("ZONE") {
		p.equals()
		change.Zone = p.text()
	}
	return change
}

func (p *parser) settings() Statement {
	set := &SetParameters{}
	for {
		setting := Setting{Name: strings.ToLower(p.identifier())}
		p.equals()
		if p.words("-") {
			setting.Value = "-"
		}
		setting.Value += p.value()
		for {
			switch {
			case p.words("SCOPE"):
				p.equals()
				p.one("BOTH", "MEMORY", "SPFILE")
				continue
			case p.words("COMMENT"):
				p.equals()
				p.text()
				continue
			case p.words("SERVER"):
				p.equals()
				setting.Server = p.text()
				continue
			case p.words("ZONE"):
				p.equals()
				setting.Zone = p.text()
				continue
			case p.words("TENANT"):
				p.equals()
				if tenant := p.text(); !strings.EqualFold(tenant, "sys") {
					panic(fault.NotSupported("a parameter of another tenant than sys is"))
				}
				continue
			}
			break
		}
		set.Settings = append(set.Settings, setting)
		if !p.words(",") {
			return set
		}
	}
}

// tenant reads what follows ALTER TENANT.
func (p *parser) tenant() Statement {
	alter := &AlterTenant{Tenant: p.identifier(), Options: map[string]string{}}
	p.words("SET")
	for {
		option := p.one("LOCALITY", "PRIMARY_ZONE")
		p.equals()
		alter.Options[option] = p.text()
		if !p.words(",") {
			return alter
		}
	}
}

// resource reads what follows {CREATE|ALTER|DROP} RESOURCE.
func (p *parser) resource(verb string) Statement {
	kind := p.one("UNIT", "POOL")
	lenient := p.words("IF", "NOT", "EXISTS") || p.words("IF", "EXISTS")
	name := p.identifier()
	if kind == "UNIT" {
		unit := &Unit{Verb: verb, Name: name, Lenient: lenient, Options: map[string]string{}}
		for p.at < len(p.tokens) {
			option := p.one("MAX_CPU", "MIN_CPU", "MEMORY_SIZE", "LOG_DISK_SIZE", "MAX_IOPS", "MIN_IOPS", "IOPS_WEIGHT")
			p.equals()
			unit.Options[option] = p.value()
			p.words(",")
		}
		return unit
	}
	pool := &Pool{Verb: verb, Name: name, Lenient: lenient}
	for p.at < len(p.tokens) {
		option := p.one("UNIT_NUM", "UNIT", "ZONE_LIST")
		p.equals()
		switch option {
		case "UNIT":
			pool.Unit = p.text()
		case "UNIT_NUM":
			pool.UnitNum, _ = strconv.ParseInt(p.value(), 10, 64)
		default:
			p.need("(")
			pool.Zones = p.texts()
			p.need(")")
		}
		p.words(",")
	}
	return pool
}
