"""Bad files and the errors for them. Each file has its expected mistakes in comments: `#! key: part of the rule`.

A mistake belongs to the line that its comment stands on; `#!- key: …` expects one without a line. Every mistake must
be expected and every expectation met.
"""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Address

import pytest
from tests.poolkeeper.unit.mistake_files import check, mistakes_of

from poolkeeper.core.errors import SpecError
from poolkeeper.model import locations, source, spec_rules
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint
from poolkeeper.model.spec_postgresql import EtcdMember

FILES: dict[str, str] = {
    # Unknown keys.
    "unknown at the top": 'nam = "x"  #! nam: unknown key; did you mean name?',
    "unknown, with an odd name": '"[key]" = 1  #! "[key]": unknown key',
    "unknown table": "[pgbouncer]  #! pgbouncer: unknown key\nport = 6432",
    "misspelt table": "[patrony]  #! patrony: did you mean patroni?\nttl = 60",
    "unknown in a table": "[patroni]\nttl = 21\ntl = 20  #! patroni.tl: unknown key",
    "parameter in the wrong table": '[postgresql]\nwork_mem = "4MB"  #! postgresql.work_mem: [postgresql.parameters]',
    "pgpool parameter in the wrong table": "[pgpool]\nlog_statement = true  #! pgpool.log_statement: [pgpool.parame",
    "unknown in an endpoint": "[endpoints.rw]\nmax_pol = 4  #! endpoints.rw.max_pol: did you mean max_pool?",
    "unknown endpoint": "[endpoints.wr]  #! endpoints.wr: unknown key\nport = 5",
    "unknown in a list": """
        [[etcd.members]]
        name = "etcd1"
        address = "10.8.0.31"
        port = 2379  #! etcd.members[etcd1].port: unknown key
        """,
    # Missing keys.
    "missing in a list": """
        [[nodes]]
        name = "pg_node1"
        address = "10.8.0.11"
        port = 5611
        [[nodes]]  #! nodes[pg_node2].address: is required  #! nodes[pg_node2].port: is required
        name = "pg_node2"
        """,
    "missing name": """
        [[etcd.members]]  #! etcd.members[#1].name: is required
        address = "10.8.0.31"
        """,
    # Wrong types.
    "text for a number": '[patroni]\nttl = "20"  #! patroni.ttl: must be an integer, not "20"',
    "fraction for a number": "[patroni]\nttl = 20.0  #! patroni.ttl: must be an integer, not 20.0",
    "truth for a number": "[patroni]\nttl = true  #! patroni.ttl: must be an integer, not true",
    "number for truth": "[pgpool]\nconnection_cache = 1  #! pgpool.connection_cache: must be true or false, not 1",
    "number for text": "name = 5  #! name: must be text in quotes, not 5",
    "number for an address": "[haproxy]\naddress = 10  #! haproxy.address: must be an IPv4 address",
    "value for a table": "patroni = 5  #! patroni: must be a table, not 5",
    "network as a value": 'network = "10.9.0.0/24"  #! network: must be a table, not "10.9.0.0/24"',
    "table for a list": "[nodes]  #! nodes: must be a list of tables, not a table\nname = 5",
    "list for a table": "[[endpoints]]  #! endpoints: must be a table, not a list\nport = 5",
    "value for an entry": 'etcd.members = ["etcd1"]  #! etcd.members[#1]: must be a table, not "etcd1"',
    "value for parameters": "[pgpool]\nparameters = 5  #! pgpool.parameters: must be a table",
    "list as a parameter": "[postgresql.parameters]\nx = [1]  #! postgresql.parameters.x: not a list",
    "date as a parameter": "[postgresql.parameters]\nx = 2024-01-31  #! postgresql.parameters.x: not 2024-01-31",
    "infinite parameter": "[postgresql.parameters]\nx = inf  #! postgresql.parameters.x: a number of at most 64 bits",
    "huge parameter": f"[pgpool.parameters]\nx = {10**30}  #! pgpool.parameters.x: not a number of that size",
    # Ranges and choices.
    "too low": "[patroni]\nttl = 19  #! patroni.ttl: must be at least 20, not 19",
    "too high": "[haproxy]\nstats_port = 65536  #! haproxy.stats_port: must be at most 65535, not 65536",
    "timer of more than 31 bits": "[haproxy]\nqueue_timeout_ms = 2147483648  #! haproxy.queue_timeout_ms: at most 2147",
    "no choice": '[replication]\nsynchronous_mode = "sync"  #! replication.synchronous_mode: "quorum", "on" or "off"',
    "other version": "[postgresql]\nversion = 16  #! postgresql.version: must be 17, not 16",
    "no such fallback": '[keeper]\nread_fallback = "wait"  #! keeper.read_fallback: "refuse" or "primary"',
    "a fence of two lines": '[keeper]\nfence_command = "a\\nb"  #! keeper.fence_command: must be one line',
    "a fence with open quotes": '[keeper]\nfence_command = "off \'x"  #! keeper.fence_command: No closing quot',
    # Names.
    "capitals": '[endpoints.rw]\nservice = "PG-Pool"  #! endpoints.rw.service: must be a name of a-z, 0-9 and _',
    "one letter": '[haproxy]\nservice = "h"  #! haproxy.service: of 2 to 40 characters',
    "too long": f'[haproxy]\nservice = "{"h" * 41}"  #! haproxy.service: of 2 to 40 characters',
    "reserved by hosts": '[haproxy]\nservice = "localhost"  #! haproxy.service: stands for the machine itself',
    "reserved by the servers": '[endpoints.ro]\nservice = "samenet"  #! endpoints.ro.service: a keyword of pg_hba.conf',
    "cluster name": 'name = "my_cluster"  #! name: must be a name of a-z, 0-9 and -',
    "role name": '[roles]\napp = "App-User"  #! roles.app: must be a name of a-z, 0-9 and _',
    "line break in a name": 'name = "a\\nb"  #! name: not "a\\nb"',
    "line break at the end": '[roles]\napp = "app\\n"  #! roles.app: not "app\\n"',
    "name in a list": """
        [[etcd.members]]
        name = "etcd 1"  #! etcd.members[#1].name: must be a name
        address = "10.8.0.31"
        """,
    "image": '[images]\nbase = "Debian Trixie"  #! images.base: must be an image reference',
    "image with a line break": '[images]\nbase = "debian\\nRUN x"  #! images.base: must be an image reference',
    "prefix": '[images]\nprefix = "poolkeeper/"  #! images.prefix: must be the first part of an image',
    # Single addresses and networks.
    "host bits": '[network]\nsubnet = "10.8.0.1/24"  #! network.subnet: the subnet itself is "10.8.0.0/24"',
    "no network": '[network]\nsubnet = "10.8.0/24"  #! network.subnet: must be a subnet such as',
    "loopback network": '[network]\nsubnet = "127.0.0.0/24"  #! network.subnet: overlaps the loopback addresses',
    "multicast": '[network]\nbind_address = "224.0.0.1"  #! network.bind_address: no host has it',
    "name for an address": '[haproxy]\naddress = "haproxy"  #! haproxy.address: must be an IPv4 address such as',
    # Parameters.
    "parameter's name": '[postgresql.parameters]\n"a b" = 1  #! postgresql.parameters."a b": a parameter\'s name',
    "pgpool parameter's name": '[pgpool.parameters]\n"a.b" = 1  #! pgpool.parameters."a.b": a parameter\'s name',
    "line break in a parameter's name": '[pgpool.parameters]\n"a\\nb" = 1  #! pgpool.parameters."a\\nb": a param',
    "dotted parameter": "[postgresql.parameters]\na.b = 1  #! postgresql.parameters.a: a name with a dot is written",
    "line break in a parameter": '[postgresql.parameters]\nx = "a\\nb"  #! postgresql.parameters.x: must be one line',
    "NUL in a parameter": '[pgpool.parameters]\nx = "a\\u0000"  #! pgpool.parameters.x: must be one line',
    "Unicode line break": '[pgpool.parameters]\nx = "a\\u2028b"  #! pgpool.parameters.x: must be one line',
    "many lines": '[postgresql.parameters]\nx = """a  #! postgresql.parameters.x: must be one line\nb"""',
    # TOML itself.
    "no quotes": "\nname = poolkeeper  #! (file): text is written in quotes",
    "no value": "[patroni]\nttl =  #! (file): no TOML value begins here",
    "open quotes": '[roles]\napp = "app  #! (file): the text in quotes does not end on its line\n',
    "unquoted address": "[network]\nbind_address = 127.0.0.1  #! (file): something follows the value",
    "key twice": '\nname = "a"\nname = "b"  #! (file): this key is already in the file\n',
    "table twice": "[etcd]\n[patroni]\n[etcd]  #! (file): this table is already in the file",
    "open list": "[etcd]\nmembers = [  #! (file): the file ends where a value is missing",
    "half a line": "[patroni]\nttl 20  #! (file): column 5: Expected '=' after a key",
    "endless number": f"\nx = {'9' * 5000}  #! (file): too many digits",
    "endless nesting": f"\nx = {'[' * 5000}{']' * 5000}  #! (file): nested too deep",
    # Several at once.
    "six mistakes": """
        name = "Bad Name"  #! name: must be a name
        [patroni]
        ttl = "30s"  #! patroni.ttl: must be an integer
        [postgresql]
        max_connections = 100  #! postgresql.max_connections: 100 is too few
        [[nodes]]
        name = "pg_node1"
        address = "10.8.0.11"
        port = 0  #! nodes[pg_node1].port: must be at least 1
        [[nodes]]
        name = "pg_node2"
        address = "10.9.0.12"  #! nodes[pg_node2].address: is outside network.subnet
        port = 5612
        [[nodes]]
        name = "pg_node3"
        address = "10.8.0.21"
        port = 5612  #! nodes[pg_node3].port: already used by pg_node2
        [endpoints.rw]
        address = "10.8.0.21"  #! endpoints.rw.address: already the address of pg_node3
        """,
    "inline tables": """
        etcd.members = [
          { name = "etcd1", address = "10.8.0.31" },
          # not { name = "etcd2" }, but
          { name = "etcd1", address = "10.8.0.31" },  #! etcd.members[#2].name: twice  #! etcd.members[#2].address: alre
          { name = "x]#", address = "10.8.0.33" },  #! etcd.members[#3].name: must be a name
        ]
        """,
    "text that resembles tables": """
        [postgresql.parameters]
        a = '''x  #! postgresql.parameters.a: must be one line
        [patroni]
        ttl = 1
        '''
        [patroni]  # [etcd]
        ttl = 1  #! patroni.ttl: must be at least 20
        """,
    # An absent key is checked with its default.
    "another network, the rest left": """
        [network]
        subnet = "10.8.0.0/27"  # .31 is the last address, .32 and up are outside
        #!- haproxy.address: is outside network.subnet
        #!- etcd.members[#1].address: is the broadcast address
        #!- etcd.members[#2].address: is outside  #!- etcd.members[#3].address: is outside
        """,
}

# For each rule, a file that breaks this rule alone.
BROKEN_RULES: dict[str, list[str]] = {
    "unique_names": [
        "[haproxy]\nservice = \"etcd2\"  #! haproxy.service: the name 'etcd2' is used twice",
        """
        [endpoints.rw]
        service = "pgpool"
        [endpoints.balanced]
        service = "pgpool"  #! endpoints.balanced.service: the name 'pgpool' is used twice
        """,
        "[keeper]\nservice = \"pg_node3\"  #! keeper.service: the name 'pg_node3' is used twice",
    ],
    "container_names_are_short": [
        f'name = "{"c" * 31}"\n[haproxy]\nservice = "{"h" * 32}"  #! haproxy.service: 64 characters; at most 63',
    ],
    "addresses_are_in_the_subnet": [
        '[haproxy]\naddress = "10.9.0.1"  #! haproxy.address: 10.9.0.1 is outside network.subnet 10.8.0.0/24',
        '[haproxy]\naddress = "10.8.0.0"  #! haproxy.address: is the network address',
        '[haproxy]\naddress = "10.8.0.1"  #! haproxy.address: is the gateway address',
        '[haproxy]\naddress = "10.8.0.255"  #! haproxy.address: is the broadcast address',
        '[haproxy]\naddress = "10.8.0.11"  #! haproxy.address: already the address of pg_node1',
        '[keeper]\naddress = "10.8.0.31"  #! keeper.address: already the address of etcd1',
        '[network]\nsubnet = "10.8.0.0/30"  #! network.subnet: must be between /8 and /29',
    ],
    "ports_differ": [
        """
        [endpoints.rw]
        port = 9999
        [endpoints.balanced]
        port = 9999  #! endpoints.balanced.port: already used by endpoints.rw
        """,
        "[endpoints.direct_rw]\nport = 5100  #! endpoints.direct_rw.port: already used by endpoints.rw",
        "[haproxy]\nprimary_port = 5201  #! haproxy.primary_port: already used by endpoints.direct_ro",
        "[haproxy]\nstats_port = 5612  #! haproxy.stats_port: already used by pg_node2",
        "[haproxy]\nprimary_port = 5100  #! haproxy.primary_port: already used by endpoints.rw",
        "[haproxy]\nstandby_port = 6100  #! haproxy.standby_port: already used by haproxy.primary_port",
        "[haproxy]\nruntime_port = 6101  #! haproxy.runtime_port: already used by haproxy.standby_port",
        "[haproxy]\nruntime_port = 8406  #! haproxy.runtime_port: already used by haproxy.stats_port",
        "[keeper]\nport = 8406  #! keeper.port: already used by haproxy.stats_port",
        "[pgpool]\npcp_port = 9999  #! pgpool.pcp_port: 9999 is Pgpool-II's own port",
    ],
    "counts_are_consistent": [
        "nodes = []  #! nodes: a cluster is one primary and at least one standby; 0 are declared",
        '[[nodes]]  #! nodes: 1 is declared\nname = "pg_node1"\naddress = "10.8.0.11"\nport = 5611',
        "[etcd]\nmembers = []  #! etcd.members: an odd number of members is needed; 0 are declared",
        """
        [[etcd.members]]  #! etcd.members: an odd number of members is needed; 2 are declared
        name = "etcd1"
        address = "10.8.0.31"
        [[etcd.members]]
        name = "etcd2"
        address = "10.8.0.32"
        """,
        "[replication]\nquorum_acknowledgements = 3  #! replication.quorum_acknowledgements: 3 acknowledgements need",
        "[postgresql]\nmax_wal_senders = 3  #! postgresql.max_wal_senders: 3 nodes need at least 4",
        "[postgresql]\nmax_replication_slots = 2  #! postgresql.max_replication_slots: 3 nodes need at least 4",
    ],
    "timeouts_are_ordered": [
        "[patroni]\nretry_timeout = 10\nttl = 21  #! patroni.ttl: loop_wait + 2 × retry_timeout = 22 must not exceed",
        "[etcd]\nelection_ms = 400  #! etcd.election_ms: must be at least 5 × heartbeat_ms = 500",
        "[pgpool]\nsearch_primary_node_timeout = 20  #! pgpool.search_primary_node_timeout: above patroni.ttl = 20",
    ],
    "connection_budget": [
        "[postgresql]\nmax_connections = 408  #! postgresql.max_connections: max_sessions (1 + 1) + admin",
        "[endpoints.ro]\nmax_pool = 7\n#!- postgresql.max_connections: (32×4 + 32×7 + 32×4 = 480)",
        "[endpoints.direct_rw]\nmax_sessions = 93\n#!- postgresql.max_connections: max_sessions (93 + 1)",
        """
        [postgresql]
        max_connections = 406  #! postgresql.max_connections: (32×4 + 32×4 + 32×4 = 384) + admin
        [endpoints.direct_rw]
        port = 0
        [endpoints.direct_ro]
        port = 0
        """,
    ],
    "owned_parameters": [
        "[postgresql.parameters]\nmax_connections = 9  #! postgresql.parameters.max_connections: set postgresql.max_",
        '[postgresql.parameters]\nWal_Level = "logical"  #! postgresql.parameters.Wal_Level: may not be set here',
        "[pgpool.parameters]\nbackend_weight2 = 0  #! pgpool.parameters.backend_weight2: may not be set here",
        "[pgpool.parameters]\nhealth_check_period1 = 9  #! pgpool.parameters.health_check_period1: set pgpool.health",
        "[pgpool.parameters]\nconnect_timeout = 9  #! pgpool.parameters.connect_timeout: set pgpool.connect_timeout_ms",
        "[pgpool.parameters]\nmax_pool = 9  #! pgpool.parameters.max_pool: set endpoints.rw.max_pool",
    ],
    "parameters_are_set_once": [
        '[postgresql.parameters]\nTimeZone = "UTC"\ntimezone = "UTC"  #! postgresql.parameters.timezone: is set twice',
    ],
    "pgpool_values_have_no_quote": [
        '[pgpool.parameters]\nlog_line_prefix = "it\'s "  #! pgpool.parameters.log_line_prefix: has a single quote',
    ],
    "commits_wait_for_standbys": [
        '[postgresql.parameters]\nsynchronous_commit = "local"  #! postgresql.parameters.synchronous_commit: no stand',
        "[postgresql.parameters]\nsynchronous_commit = false  #! postgresql.parameters.synchronous_commit: no stand",
    ],
    "distinct_roles": [
        '[roles]\napp = "postgres"  #! roles.app: is already roles.superuser',
        '[roles]\ncheck = "pg_check"  #! roles.check: PostgreSQL reserves the role name',
        '[roles]\napp = "public"  #! roles.app: PostgreSQL reserves the role name',
        '[roles]\napp_database = "template1"  #! roles.app_database: cannot be the application\'s database',
    ],
}

GOOD: dict[str, str] = {
    "acknowledgements without meaning": '[replication]\nsynchronous_mode = "off"\nquorum_acknowledgements = 9',
    "asynchronous commit, openly": """
        [replication]
        synchronous_mode = "off"
        [postgresql.parameters]
        synchronous_commit = "off"
        """,
    "a partial endpoint": "[endpoints.rw]\nnum_init_children = 16",
    "quotes and backslashes": "[pgpool.parameters]\nx = 'a \\ \"b\" \t #'",
    "extension's parameter": '[postgresql.parameters]\n"auto_explain.log_min_duration" = "1s"',
    "image by digest": f'[images]\nbase = "mirror.example:5000/library/debian:trixie@sha256:{"a" * 64}"',
    "longest container name": f'name = "{"c" * 22}"\n[haproxy]\nservice = "{"h" * 40}"',
    "a byte-order mark and Windows line ends": '\ufeffname = "a"\r\n[patroni]\r\nttl = 20\r\n',
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
def test_a_bad_file_is_refused_with_exactly_its_mistakes(text: str) -> None:
    check(text)


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in BROKEN_RULES.items() for text in texts])
def test_an_injected_violation_is_found_by_its_rule(rule: str, text: str) -> None:
    check(text)
    spec = ClusterSpec.model_validate(tomllib.loads(text))
    assert {found.__name__ for found in spec_rules.RULES if list(found(spec))} == {rule}


def test_every_rule_has_an_injected_violation() -> None:
    assert set(BROKEN_RULES) == {rule.__name__ for rule in spec_rules.RULES}
    assert all(BROKEN_RULES.values())


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_a_valid_file_is_accepted(text: str) -> None:
    assert isinstance(source.load(text), ClusterSpec)


def test_a_partial_endpoint_keeps_its_defaults() -> None:
    endpoint = source.load("[endpoints.rw]\nnum_init_children = 16").endpoints.rw
    assert endpoint == Endpoint(service="pgpool_rw", address=IPv4Address("10.8.0.21"), port=5100, num_init_children=16)


def test_the_share_of_the_direct_endpoints_in_the_budget() -> None:
    """A file without direct endpoints stays valid; they share the rest of the connections."""
    before = "[postgresql]\nmax_connections = {}\n"
    assert source.load(before.format(420)).direct_sessions() == {"direct_rw": 6, "direct_ro": 6}
    assert source.load(before.format(409)).direct_sessions() == {"direct_rw": 1, "direct_ro": 1}
    one = source.load(before.format(420) + "[endpoints.direct_ro]\nport = 0")
    assert one.direct_sessions() == {"direct_rw": 13}
    assert one.published_ports()["haproxy_pgpool"] == {5100: 5100, 5101: 5101, 5200: 5200, 8406: 8406}
    fixed = source.load(before.format(420) + "[endpoints.direct_rw]\nmax_sessions = 10")
    assert fixed.direct_sessions() == {"direct_rw": 10, "direct_ro": 3}


def test_too_many_nodes() -> None:
    lines = ['network.subnet = "10.8.0.0/16"']
    for i in range(129):
        lines.append(f'[[nodes]]\nname = "node{i}"\naddress = "10.8.1.{i}"\nport = {20000 + i}')
    found = mistakes_of("\n".join(lines))
    assert ("nodes", 2, "Pgpool-II serves at most 128 nodes; 129 are declared") in found


def test_bytes_that_are_not_text() -> None:
    with pytest.raises(SpecError) as caught:
        source.load(b'name = "poolkeeper"\n# caf\xe9\n')
    assert [(m.line, m.rule) for m in caught.value.mistakes] == [(2, "is not UTF-8 text")]


def test_the_error_names_the_file_and_counts() -> None:
    with pytest.raises(SpecError) as caught:
        source.load("a = 1\nb = 2", "other.toml")
    assert caught.value.message == "other.toml has 2 mistakes; nothing was started or changed"
    assert [mistake.line for mistake in caught.value.mistakes] == [1, 2]
    assert caught.value.exit_code == 10


def test_a_value_is_shown_on_one_short_line() -> None:
    [(_, _, rule)] = mistakes_of(f'name = """a\n{"b" * 500}"""')
    assert "\n" not in rule
    assert len(rule) < 200


def test_no_message_has_the_name_of_a_stand_in() -> None:
    text = """
        [[nodes]]
        name = "PG 1"  #! nodes[#1].name: must be a name
        address = "10.8.0.11"
        port = 5611
        [[nodes]]
        name = "pg2"
        address = "10.8.0.12"
        port = 5611  #! nodes[pg2].port: port 5611 is already used by a service whose name is wrong
        """
    check(text)


def test_dotted_without_a_file() -> None:
    assert locations.dotted(("nodes", 1, "port")) == "nodes[#2].port"
    assert locations.dotted(()) == "(file)"


def test_the_model_alone_is_as_strict() -> None:
    with pytest.raises(ValueError):
        EtcdMember(name="etcd1", address="10.8.0.31\n")  # type: ignore[arg-type]
