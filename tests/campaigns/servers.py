"""What the campaigns on real servers share: a MariaDB, its audit log, the program's answers."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from house import ROOT, Violation

sys.path.insert(0, str(ROOT / "tests/tools"))
from mysql_wire import Wire  # noqa: E402

SERVERS = ROOT / "tests/servers"
# How long a login waits to be settled.
SETTLING = 15
# The records of `server_audit` that let somebody in, where no name holds a line break or a comma.
LOGIN = re.compile(rb"^(\d{8} \d\d:\d\d:\d\d),[^,]*,([^,]*),([^,]*),\d+,0,(CONNECT|CHANGEUSER),.*,0$", re.M)


class Server:
    """A MariaDB 10.11 of `tests/servers` in a folder of its own."""

    def __init__(self, folder, *options, pam=None):
        self.folder = pathlib.Path(folder)
        self.arguments = [*(["--pam", str(pam)] if pam else []), "--", "--skip-name-resolve", *options]
        self.reach = {}
        self.admin = None

    def start(self):
        told = subprocess.run([SERVERS / "start", "mariadb-10.11", self.folder, *self.arguments],
                              check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout
        port = self.reach.get("port")
        self.reach = dict(line.split("=", 1) for line in told.splitlines())
        if port:
            self.reach["port"] = port
        else:
            # Whoever comes again finds it where it was.
            self.arguments.append(f"--port={self.reach['port']}")
        # Waiting for a replica takes as long as it takes.
        self.admin = Wire(self.socket, timeout=900)
        self.admin.greet()
        self.admin.login(b"root")

    def stop(self):
        """Nothing where it does not run."""
        if not (self.folder / "run/pid").exists():
            return
        subprocess.run([SERVERS / "stop", self.folder], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)

    def run(self, *statements):
        """Statements of the administrator; the rows of the last."""
        rows = []
        for statement in statements:
            rows = self.admin.query(statement.encode() if isinstance(statement, str) else statement)
        return rows

    @property
    def socket(self):
        return self.reach["socket"]

    @property
    def address(self):
        return ("127.0.0.1", int(self.reach["port"]))

    @property
    def logs(self):
        return self.folder / "audit"

    def idle(self):
        """Waits until nobody but the administrator is connected."""
        deadline = time.monotonic() + 60
        query = ("SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
                 " AND USER NOT IN ('system user', 'event_scheduler', 'repl')")
        while self.run(query)[0][0] != b"0":
            if time.monotonic() > deadline:
                raise Violation("clients do not end")
            time.sleep(0.05)


def log_files(logs):
    """The files of a log, oldest first."""
    def age(path):
        numbers = [int(part) for part in path.name.split(".") if part.isdigit()]
        return numbers[0] if numbers else 0

    files = [path for path in logs.iterdir() if path.name.startswith("server_audit.log")]
    return sorted(files, key=age, reverse=True)


def read(path):
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout
    return path.read_bytes()


def written(files):
    """How many records of any kind, and how many logins by user and host, stand in these files; and how
    many of the logins are younger than what settles, at least and at most."""
    lines, logins, moments, changes = 0, *(collections.Counter() for _ in range(3))
    newest = 0
    for path in files:
        text = read(path)
        lines += text.count(b"\n")
        for stamp, user, host, record in LOGIN.findall(text):
            if record == b"CONNECT":
                logins[user, host] += 1
                moments[stamp] += 1
            else:
                changes[stamp] += 1
        last = text.rstrip(b"\n").rpartition(b"\n")[2][:17]
        newest = max(newest, seconds(last)) if last else newest
    young = sum(count for stamp, count in moments.items() if seconds(stamp) > newest - SETTLING)
    both = (moments + changes).items()
    return lines, logins, (young, sum(count for stamp, count in both if seconds(stamp) >= newest - SETTLING))


def seconds(stamp):
    return time.mktime(time.strptime(stamp.decode(), "%Y%m%d %H:%M:%S"))


class Rollcall:
    """The program with a ledger of its own."""

    def __init__(self, binary, ledger, *wrapper):
        self.binary, self.ledger, self.wrapper = binary, pathlib.Path(ledger), wrapper

    def run(self, *arguments):
        environment = {"HOME": str(self.ledger.parent), "TZ": "UTC", "PATH": os.environ["PATH"]}
        command = [*self.wrapper, self.binary, "--ledger", self.ledger, *arguments]
        done = subprocess.run(command, env=environment, cwd=self.ledger.parent, capture_output=True,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise Violation(f"rollcall {' '.join(map(str, arguments))}: {done.returncode}: {said}")
        return done.stdout

    def rows(self, *arguments):
        text = self.run(*arguments, "-q", "-o", "json").decode()
        return [json.loads(line) for line in text.splitlines()]

    def scan(self, logs):
        self.run("scan", "-q", str(logs), "--time-zone", "UTC")

    def seen(self):
        """By user and host, as bytes, over all servers: logins, failures, whether contested."""
        pairs = {}
        for row in self.rows("seen"):
            key = name(row, "user"), name(row, "host")
            logins, failures, contested = pairs.get(key, (0, 0, False))
            pairs[key] = (logins + row["logins"], failures + row["failures"],
                          contested or row["contested"])
        return pairs

    def doubts(self):
        """How many records were rejected or quarantined, by reason."""
        doubts = collections.Counter()
        for row in self.rows("evidence"):
            if row["state"] in ("rejected", "quarantined"):
                doubts[row["reason"]] += row["records"]
        return doubts

    def missed(self):
        """Where a file is said to be missing between two that follow one another."""
        return [row["reason"] for row in self.rows("evidence") if "a log file is missing" in row["reason"]]

    def unsettled(self):
        return sum(row["unsettled"] for row in self.rows("status") if "unsettled" in row)


def name(row, field):
    return bytes.fromhex(row[field + "_hex"]) if field + "_hex" in row else row[field].encode()
