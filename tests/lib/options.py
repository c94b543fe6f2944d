"""bearerd's configuration file from dotted names. What comes out is JSON, hence
YAML; one test writes YAML by hand."""
import json

# Two workers, so that messages cross threads; failed logins answered at once.
DEFAULTS = {
    "workers": 2,
    "hostname": "relay.example",
    "upstream.helo": "relay.example",
    "auth.failure_delay": 0,
    "drain_timeout": "10s",
    "limits.max_connections_per_address": 5000,
}


def nested(flat):
    tree = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = value
    return tree


def config_file(conf, listeners=None, certs=None):
    flat = dict(DEFAULTS, **conf)
    if listeners is not None:
        flat["listeners"] = [{"address": address, "tls": tls} for address, tls in listeners]
        if any(tls != "none" for _, tls in listeners):
            flat.setdefault("tls.certificate", str(certs.cert))
            flat.setdefault("tls.key", str(certs.key))
    return json.dumps(nested({k: v for k, v in flat.items() if v is not None}), indent=2)
