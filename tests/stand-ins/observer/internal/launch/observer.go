package launch

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"atoll.dev/tests/stand-ins/observer/internal/catalogue"
)

// flags are the observer's, long and short, that an operator uses.
var flags = map[string]string{
	"--nodaemon": "nodaemon", "-N": "nodaemon", "--appname": "appname", "-n": "appname", "--cluster_id": "cluster_id",
	"-c": "cluster_id", "--zone": "zone", "-z": "zone", "--devname": "devname", "-i": "devname", "--local_ip": "local_ip",
	"-I": "local_ip", "--mysql_port": "mysql_port", "-p": "mysql_port", "--rpc_port": "rpc_port", "-P": "rpc_port",
	"--data_dir": "data_dir", "-d": "data_dir", "--log_level": "log_level", "-l": "log_level", "--optstr": "options", "-o": "options",
}

func observer(config *Config, arguments []string) error {
	given := map[string]string{}
	for at := 0; at < len(arguments); at++ {
		argument, value, joined := strings.Cut(arguments[at], "=")
		if !strings.HasPrefix(argument, "--") {
			argument, joined = arguments[at], false
		}
		name, known := flags[argument]
		switch {
		case !known:
			return fmt.Errorf("the observer has no argument %s", argument)
		case name == "nodaemon":
			given[name] = "true"
			continue
		case !joined:
			if at++; at >= len(arguments) {
				return fmt.Errorf("%s needs a value", argument)
			}
			value = arguments[at]
		}
		given[name] = value
	}
	if given["nodaemon"] == "" {
		return fmt.Errorf("without --nodaemon the observer goes into the background, and the container ends")
	}
	var device []string
	for _, name := range []string{"devname", "local_ip"} {
		if given[name] != "" {
			device = append(device, "--"+name, given[name])
		}
	}
	if known := config.Known; known != nil {
		id := strconv.FormatInt(known.ClusterID, 10)
		if n := given["appname"]; n != "" && n != known.ClusterName || given["zone"] != "" && given["zone"] != known.Zone ||
			given["cluster_id"] != "" && given["cluster_id"] != id {
			return fmt.Errorf("the volumes belong to zone %s of cluster %s (%s), the arguments say otherwise", known.Zone, known.ClusterName, id)
		}
		return restart(config, device)
	}
	return first(config, given, device)
}

func first(config *Config, given map[string]string, device []string) error {
	for _, name := range []string{"appname", "cluster_id", "zone"} {
		if given[name] == "" {
			return fmt.Errorf("the observer needs --%s", name)
		}
	}
	for name, want := range map[string]string{"mysql_port": "2881", "rpc_port": "2882"} {
		if given[name] != want {
			return fmt.Errorf("--%s must be %s: the pod's ports are fixed", name, want)
		}
	}
	if given["data_dir"] != home+"/store" {
		return fmt.Errorf("-d must be %s/store, which leads to the volumes", home)
	}
	id, err := strconv.ParseInt(given["cluster_id"], 10, 64)
	if err != nil || id < 1 {
		return fmt.Errorf("--cluster_id is %q, not a number", given["cluster_id"])
	}
	if config.Options, err = parse(given["options"]); err != nil {
		return err
	}
	if err := enough(config.Options); err != nil {
		return err
	}
	config.ClusterName, config.ClusterID, config.Zone = given["appname"], id, given["zone"]
	if config.IP, err = address(device); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"cluster": given["appname"], "cluster_id": given["cluster_id"], "zone": given["zone"], "local_ip": config.IP,
		"mysql_port": "2881", "rpc_port": "2882", "data_dir": given["data_dir"], "devname": given["devname"],
	} {
		config.Options[name] = value
	}
	return nil
}

// restart takes everything from the volume. The address is a server's identity to the others: a pod that comes back with
// another one is nobody's member, so it is refused here and not left to wait.
func restart(config *Config, device []string) error {
	known := config.Known
	config.ClusterName, config.ClusterID, config.Zone = known.ClusterName, known.ClusterID, known.Zone
	config.Options, config.IP = known.Options, known.IP
	if len(device) == 0 {
		return nil
	}
	now, err := address(device)
	if err == nil && now != known.IP {
		err = fmt.Errorf("the volumes belong to the server at %s, and this pod is %s: a server cannot change its address", known.IP, now)
	}
	return err
}

// parse reads name=value,name='value',…
func parse(options string) (map[string]string, error) {
	parsed := map[string]string{}
	for options != "" {
		name, rest, found := strings.Cut(options, "=")
		if !found {
			return nil, fmt.Errorf("-o: %q has no value", name)
		}
		value := ""
		if strings.HasPrefix(rest, "'") {
			if value, rest, found = strings.Cut(rest[1:], "'"); !found || rest != "" && rest[0] != ',' {
				return nil, fmt.Errorf("-o: the quote of %s is not closed", name)
			}
			rest = strings.TrimPrefix(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if _, err := catalogue.CheckParameter(name, value); err != nil {
			return nil, fmt.Errorf("-o: %w", err)
		}
		parsed[name], options = value, rest
	}
	return parsed, nil
}

// The smallest sizes are those of ob-operator's webhook, 8Gi of memory and volumes of 30Gi, as they arrive here: 90 % of
// the memory, 20 % of the data volume, 95 % of the redo volume.
const (
	leastMemory = 7372 << 20
	leastData   = 6 << 30
	leastRedo   = 28 << 30
)

func enough(options map[string]string) error {
	for _, one := range []struct {
		name  string
		least int64
		of    string
	}{
		{"memory_limit", leastMemory, "a pod of 8Gi"}, {"datafile_size", leastData, "a data volume of 30Gi"},
		{"log_disk_size", leastRedo, "a redo volume of 30Gi"}, {"cpu_count", 1, "any"},
	} {
		value, given := options[one.name]
		if given && catalogue.Bytes(value) < one.least {
			return fmt.Errorf("%s = %s is too little: %s gives %d", one.name, value, one.of, one.least)
		}
	}
	return nil
}

func address(device []string) (string, error) {
	if len(device) != 2 {
		return "", fmt.Errorf("the observer needs one of -i and -I, to know its address")
	}
	flag, value := flags[device[0]], device[1]
	if flag == "local_ip" {
		if net.ParseIP(value) == nil {
			return "", fmt.Errorf("-I %s is no address", value)
		}
		return value, nil
	}
	card, err := net.InterfaceByName(value)
	if err != nil {
		return "", fmt.Errorf("-i %s: %w", value, err)
	}
	addresses, err := card.Addrs()
	if err != nil {
		return "", err
	}
	for _, one := range addresses {
		if network, is := one.(*net.IPNet); is && network.IP.To4() != nil {
			return network.IP.String(), nil
		}
	}
	return "", fmt.Errorf("-i %s: the interface has no IPv4 address", value)
}
