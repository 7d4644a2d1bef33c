"""What the campaigns of the login plugin share: servers that have loaded it, clients, its log."""

import collections
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

from house import ROOT, Violation

sys.path.insert(0, str(ROOT / "tests/tools"))
from mysql_wire import ServerError, Wire, native_scramble  # noqa: E402

SERVERS = ROOT / "tests/servers"
KINDS = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"]
INSTALL = "INSTALL PLUGIN SIMPLE_LOGIN_AUDIT SONAME 'audit_login.so'"
UNINSTALL = "UNINSTALL PLUGIN SIMPLE_LOGIN_AUDIT"
LOAD = "--plugin-load-add=SIMPLE_LOGIN_AUDIT=audit_login.so"
# The status that makes the rest add up.
COUNTS = {
    "successful_login": "Audit_login_count_successful_logins",
    "failed_login": "Audit_login_count_failed_logins",
    "logout": "Audit_login_count_logouts",
    "change_user": "Audit_login_count_change_users",
}


def expect(condition, *what):
    if not condition:
        raise Violation(" ".join(map(str, what)))


def built():
    """The library, as packaging/plugin leaves it."""
    done = subprocess.run([ROOT / "packaging/plugin"], check=True, stdout=subprocess.PIPE, text=True)
    return pathlib.Path(done.stdout.strip())


def caching_scramble(password, seed):
    """The answer of caching_sha2_password to the 20 bytes `seed`."""
    once = hashlib.sha256(password).digest()
    mask = hashlib.sha256(hashlib.sha256(once).digest() + seed).digest()
    return bytes(a ^ b for a, b in zip(once, mask))


class Client(Wire):
    """Logs in to MySQL, too: over the socket with a password, over TCP without one."""

    def finish_login(self, password=b""):
        while True:
            packet = self.read()
            self._raise_if_error(packet)
            if packet[0] == 0x00:
                return
            if packet[0] == 0xFE and len(packet) > 1:
                plugin, _, data = packet[1:].partition(b"\0")
                if plugin == b"mysql_native_password":
                    self.write(native_scramble(password, data[:20]))
                elif plugin == b"caching_sha2_password" and password:
                    self.write(caching_scramble(password, data[:20]))
                else:
                    self.write(password + b"\0")
            elif packet != b"\x01\x03":
                # The whole password is asked for: the socket is as good as TLS.
                self.write(password + b"\0")


class Server:
    """A server of `tests/servers` in a folder of its own, with the plugin in its plugin_dir."""

    def __init__(self, kind, folder, library):
        self.kind, self.folder, self.library = kind, pathlib.Path(folder), library
        self.family = kind.split("-")[0]
        self.reach, self.admin = {}, None

    def start(self, *options):
        told = subprocess.run(
            [SERVERS / "start", self.kind, self.folder, "--", "--skip-name-resolve", *options],
            check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout
        self.reach = dict(line.split("=", 1) for line in told.splitlines())
        beside = pathlib.Path(self.reach["plugin_dir"]) / "audit_login.new"
        shutil.copyfile(self.library, beside)
        beside.chmod(0o755)
        beside.replace(beside.with_name("audit_login.so"))
        self.join()
        return self

    def restart(self, *options):
        self.stop()
        return self.start(*options)

    def join(self):
        self.admin = self.client(self.socket, b"root")

    def stop(self):
        if (self.folder / "run/pid").exists():
            subprocess.run([SERVERS / "stop", self.folder], check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        while pathlib.Path(f"/proc/{self.pid}").exists():
            time.sleep(0.05)

    def is_alive(self):
        return self.admin.query(b"SELECT 1") == [[b"1"]]

    def run(self, *statements):
        rows = []
        for statement in statements:
            rows = self.admin.query(statement.encode())
        return rows

    def uninstall(self, plugin):
        """Until it is gone: a session that has used it keeps it until its next statement or its end. How often
        that was waited for."""
        self.run(f"UNINSTALL PLUGIN {plugin}")
        deadline, waits = time.monotonic() + 30, 0
        query = f"SELECT count(*) FROM information_schema.PLUGINS WHERE PLUGIN_NAME = '{plugin}'"
        while self.run(query) != [[b"0"]]:
            expect(time.monotonic() < deadline, self.kind, plugin, "stays loaded")
            waits += 1
            self.admin.drop()
            self.join()
        return waits

    def client(self, peer, user, password=b"", database=None, source=None):
        client = Client(peer, source)
        try:
            client.greet()
            client.login(user, password, database)
        except BaseException:
            client.drop()
            raise
        return client

    @property
    def pid(self):
        return int(self.reach["pid"])

    @property
    def socket(self):
        return self.reach["socket"]

    @property
    def address(self):
        return ("127.0.0.1", int(self.reach["port"]))

    @property
    def data(self):
        return pathlib.Path(self.reach["data"])

    @property
    def log(self):
        return self.data / "audit_login.log"

    def accounts(self):
        """Accounts for clients over the socket and over TCP. `load` has no password."""
        for user, password, more in [
            ("good", "pw", ""), ("locked", "pw", "ACCOUNT LOCK"), ("expired", "pw", "PASSWORD EXPIRE"),
            ("limited", "pw", "WITH MAX_USER_CONNECTIONS 1"), ("load", "", ""), ("nagios", "", ""),
        ]:
            for host in ("localhost", "127.0.0.1"):
                self.run(f"CREATE USER IF NOT EXISTS '{user}'@'{host}' IDENTIFIED BY '{password}' {more}")
        # Whoever comes from there is let in, whatever he calls himself.
        self.run("CREATE USER IF NOT EXISTS ''@'127.0.0.2'", "CREATE DATABASE IF NOT EXISTS shop")
        for host in ("localhost", "127.0.0.1"):
            self.run(f"GRANT ALL ON shop.* TO good@'{host}'", f"GRANT ALL ON shop.* TO `load`@'{host}'")

    def status(self, pattern="%login%"):
        rows = self.run(f"SHOW GLOBAL STATUS LIKE '{pattern}'")
        return {name.decode(): value.decode() for name, value in rows}

    def count(self, name):
        return int(self.status(name)[name])

    def quiet(self):
        """Waits until nobody but the administrator is connected, and all that they did is told."""
        deadline = time.monotonic() + 60
        query = ("SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
                 " AND USER NOT IN ('system user', 'event_scheduler')")
        while self.run(query)[0][0] != b"0":
            expect(time.monotonic() < deadline, self.kind, "clients do not end")
            time.sleep(0.02)
        before = None
        while before != (before := self.status()):
            time.sleep(0.1)

    def quiet_without_plugin(self):
        while self.run("SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'load'") != [[b"0"]]:
            time.sleep(0.02)
        time.sleep(0.2)

    def is_mapped(self):
        return "audit_login.so" in pathlib.Path(f"/proc/{self.pid}/maps").read_text()


def lines(path, torn=0):
    """The records of a log; up to `torn` lines may be none."""
    records = []
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        try:
            records.append(json.loads(line, object_pairs_hook=once))
        except ValueError:
            torn -= 1
            expect(torn >= 0, path, "is no JSON:", line)
    return records


def once(pairs):
    keys = collections.Counter(key for key, _ in pairs)
    expect(max(keys.values()) == 1, "a key twice:", pairs)
    return dict(pairs)


def check_counts(server, records):
    """The log and the status tell the same, with nothing missing or twice."""
    status = server.status()
    kinds = collections.Counter(record["type"] for record in records)
    made, written, dropped = (int(status[name]) for name in
                              ("Simple_login_audit_lines", "Audit_login_written", "Audit_login_dropped"))
    expect(made == written + dropped, server.kind, "counts do not add up:", status)
    expect(len(records) == written, server.kind, len(records), "lines, but", status)
    sequence = [record["seq"] for record in records]
    expect(sequence == sorted(set(sequence)), server.kind, "lines are out of order")
    if not dropped:
        for kind, name in COUNTS.items():
            expect(kinds[kind] == int(status[name]), server.kind, kind, kinds[kind], "in the log, but", status)
        expect(sequence == list(range(1, made + 1)), server.kind, "lines are missing")


class Crowd:
    """Clients that log in and out as long as they are let, or so many times; counts what happened."""

    def __init__(self, server, threads=4, logins=None, user=b"load"):
        self.server, self.user, self.logins = server, user, logins
        self.done, self.let_in, self.refused = threading.Event(), 0, 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _work(self):
        while not self.done.is_set():
            with self.lock:
                if self.logins is not None:
                    if self.logins == 0:
                        return
                    self.logins -= 1
            try:
                self.server.client(self.server.address, self.user).quit()
                entered = True
            except (OSError, ServerError):
                entered = False
            with self.lock:
                self.let_in += entered
                self.refused += not entered

    def wait(self):
        for thread in self.threads:
            thread.join()
        return self

    def end(self):
        self.done.set()
        return self.wait()
