"""What honest clients do to a server, and how many logins it let in by user and host.

    traffic.py REACH      REACH as JSON: socket, port, seconds, parts, seed, and
                          stall    seconds after which the server gives a handshake up
                          crowd    connections at once in `crowds`
                          proxy    whether there is an account that is proxied
                          named    whether statements are logged, so that a change of user is named

Each part is a process of its own. Run as a program, so that the caller can put a wrapper before it; prints
a JSON object: `let_in`, a list of [user, host, logins] (as hexadecimal digits), `unsure` the same of those
that the server may have let in without the client knowing, and `refused`, how many were refused by error
number. Accounts are those of `accounts`. A server that goes away is waited for.
"""

import collections
import concurrent.futures
import json
import multiprocessing
import pathlib
import random
import select
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from mysql_wire import ServerError, Wire, native_scramble  # noqa: E402

PASSWORD = b"pw-61c0"
# Without a password, so that a login costs its client next to nothing.
QUICK = [b"q%d" % number for number in range(120)]
APPS = [b"app%d" % number for number in range(8)]
ASCII_NAME = b"n" * 128
LONG_NAMES = [b"n" * 127 + b"1", "é".encode() * 100, "€".encode() * 128, "名".encode() * 44, b"a" * 130]
IP_BIND_ADDRESS_NO_PORT = 24
OTHER_PLUGIN = b"\0\0other_plugin\0"


def accounts():
    """Statements that make the accounts and what they use."""
    made = [b"CREATE DATABASE IF NOT EXISTS shop",
            b"CREATE OR REPLACE TABLE shop.orders (id INT, note TEXT)",
            b"CREATE OR REPLACE TABLE shop.notes (id INT, note TEXT)",
            b"INSERT INTO shop.notes VALUES (1, 'one')",
            b"CREATE OR REPLACE ROLE reader", b"GRANT ALL ON shop.* TO reader"]
    for user in QUICK + LONG_NAMES:
        made += [b"CREATE OR REPLACE USER '%b'@'%%'" % known(user),
                 b"GRANT ALL ON shop.* TO '%b'@'%%'" % known(user)]
    for user in [*APPS, b"locked", b"limited"]:
        made += [b"CREATE OR REPLACE USER '%b'@'%%' IDENTIFIED BY '%b'" % (user, PASSWORD),
                 b"GRANT ALL ON shop.* TO '%b'@'%%'" % user]
    made += [b"ALTER USER locked@'%' ACCOUNT LOCK",
             b"ALTER USER limited@'%' WITH MAX_CONNECTIONS_PER_HOUR 3",
             b"GRANT reader TO app0@'%'", b"SET DEFAULT ROLE reader FOR app0@'%'",
             b"CREATE OR REPLACE USER killer@'%%' IDENTIFIED BY '%b'" % PASSWORD,
             b"GRANT PROCESS, CONNECTION ADMIN ON *.* TO killer@'%'"]
    for number in range(4):
        made.append(b"CREATE OR REPLACE DEFINER='app%d'@'%%' EVENT shop.tick%d ON SCHEDULE EVERY 1 SECOND"
                    b" DO INSERT INTO shop.orders SELECT id, note FROM shop.notes WHERE id = 1"
                    % (number, number))
    made.append(b"CREATE OR REPLACE EVENT shop.sweep ON SCHEDULE EVERY 2 SECOND DO BEGIN"
                b" DELETE FROM shop.orders; DELETE FROM shop.notes WHERE id <> 1; END")
    return made


def known(user):
    """The name that the server makes of the one that is sent: 128 characters stay."""
    return user.decode()[:128].encode()


class Part:
    """One process's share: where the server is, until when, what happened."""

    def __init__(self, reach, number):
        self.reach = reach
        self.random = random.Random(reach["seed"] * 100 + number)
        self.until = time.monotonic() + reach["seconds"]
        self.let_in, self.unsure, self.refused = (collections.Counter() for _ in range(3))
        # A login that the log may lack if the server is gone next.
        self.last = None

    def source(self):
        return f"127.0.0.{self.random.randrange(2, 60)}"

    def going(self):
        return time.monotonic() < self.until

    def wire(self, source):
        peer = self.reach["socket"] if source is None else ("127.0.0.1", self.reach["port"])
        return Wire(peer, source)

    def login(self, user, password=PASSWORD, database=None, source="", wire=None):
        """Logs in; None where that is refused or the server is gone."""
        source = self.source() if source == "" else source
        key = (known(user), b"localhost" if source is None else source.encode())
        sent = False
        try:
            if wire is None:
                wire = self.wire(source)
                wire.greet()
            sent = True
            wire.login(user, password, database)
        except ServerError as error:
            self.refused[error.number] += 1
            if wire:
                wire.drop()
            return None
        except OSError:
            if sent:
                self.unsure[key] += 1
            self.away()
            return None
        self.let_in[key] += 1
        self.last = key
        wire.key, wire.changed = key, False
        return wire

    def away(self):
        """The server is gone, or ends this connection."""
        if self.last:
            self.unsure[self.last] += 1
            self.last = None
        time.sleep(0.02)

    # -- what clients do

    def quick(self, source, statement=None):
        """Logs in and out as fast as a process can: bytes made before, answers hardly looked at."""
        packets = {}
        for user in QUICK:
            body = struct.pack("<IIB23x", 0x88201, 1 << 24, 45) + user + b"\0\0mysql_native_password\0"
            packets[user] = len(body).to_bytes(3, "little") + b"\1" + body
        users, sources = list(packets), [f"127.0.0.{n}" for n in range(2, 60)]
        asked = statement and (len(statement) + 1).to_bytes(3, "little") + b"\0\3" + statement
        leave = b"\1\0\0\0\1"
        count = 0
        while self.going():
            count += 1
            user = users[count % len(users)]
            host = sources[count // 7 % len(sources)] if source else "localhost"
            stage = 0
            try:
                wire = open_fast(self.reach, host if source else None)
                if wire.recv(512)[4:5] == b"\xff":
                    self.refused[1040] += 1
                    wire.close()
                    continue
                stage = 1
                wire.sendall(packets[user])
                answer = wire.recv(512)
                if answer[4:5] == b"\xff":
                    self.refused[int.from_bytes(answer[5:7], "little")] += 1
                elif answer:
                    stage = 2
                    self.let_in[user, host.encode()] += 1
                    if asked:
                        wire.sendall(asked)
                        wire.recv(4096)
                    wire.sendall(leave)
                    if count % 3:
                        wire.recv(16)
                else:
                    self.unsure[user, host.encode()] += 1
                wire.close()
            except OSError:
                if stage:
                    self.unsure[user, host.encode()] += 1
                time.sleep(0.02)

    def quick_socket(self):
        self.quick(False)

    def quick_address(self):
        self.quick(True)

    def quick_reads(self):
        self.quick(True, b"SELECT note FROM shop.notes LIMIT 1")

    def quick_writes(self):
        self.quick(False, b"INSERT INTO shop.orders VALUES (7, 'it\\'s')")

    def pool(self):
        """Sessions that stay, with statements, prepared ones, other databases, changes of user."""
        held = []
        while self.going():
            if len(held) < 12 and (wire := self.login(self.random.choice(APPS), database=b"shop")):
                held.append(wire)
            if not held:
                continue
            wire = self.random.choice(held)
            try:
                self.work(wire)
                if self.random.random() < 0.05:
                    held.remove(wire)
                    self.random.choice([wire.quit, wire.drop])()
            except ServerError as error:
                self.refused[error.number] += 1
                if error.number in (1927, 1053, 1317, 1158):
                    held.remove(wire)
                    wire.drop()
            except OSError:
                held.remove(wire)
                self.away()
        for wire in held:
            wire.quit()

    def work(self, wire):
        what = self.random.random()
        if what < 0.5:
            wire.query(b"SELECT count(*) FROM shop.notes")
        elif what < 0.6:
            wire.query(b"INSERT INTO shop.notes VALUES (%d, 'a, ''b'', c')"
                       % self.random.randrange(2, 9))
        elif what < 0.7:
            number, _ = wire.prepare(b"SELECT * FROM shop.notes WHERE id = ?")
            wire.execute(number, [b"7"])
        elif what < 0.8:
            wire.use(self.random.choice([b"shop", b"information_schema"]))
        elif what < 0.98 and (self.reach["named"] or not wire.changed):
            # Where statements are not logged only the end of a session names its last user.
            wire.changed = True
            key = (self.random.choice(APPS), wire.key[1])
            wire.change_user(key[0], PASSWORD, b"shop")
            # The record of the change lacks the name: the next one tells.
            wire.query(b"SELECT 1")
            self.let_in[key] += 1
            wire.key = self.last = key
        else:
            try:
                user = self.random.choice([b"nobody", b"app3", b"\xc3\xa9" * 70])
                wire.change_user(user, b"wrong", b"shop")
            except ServerError as error:
                self.refused[error.number] += 1

    def strangers(self):
        """Refusals of every kind, scans of the port, long names."""
        def probe(payload):
            wire = self.wire(self.source())
            try:
                wire.greet()
                wire.socket.sendall(payload)
                if payload:
                    wire.socket.recv(512)
            except (ServerError, OSError):
                pass
            wire.drop()

        names = [b"nobody", b"admin", b"", ASCII_NAME, *LONG_NAMES, b"x" * 200, "ü".encode() * 128]
        while self.going():
            deed = self.random.randrange(9)
            user = self.random.choice(names)
            try:
                if deed == 0:
                    self.leave(self.login(self.random.choice(APPS), b"wrong"))
                elif deed == 1:
                    self.leave(self.login(user, b"wrong"))
                elif deed == 2:
                    self.leave(self.login(b"locked"))
                elif deed == 3:
                    self.leave(self.login(self.random.choice(APPS), database=b"nowhere"))
                elif deed == 4:
                    self.leave(self.login(self.random.choice(LONG_NAMES), b""))
                elif deed == 5:
                    self.leave(self.login(b"limited"))
                elif deed == 6:
                    probe(b"GET / HTTP/1.0\r\n\r\n")
                elif deed == 7:
                    probe(b"")
                elif deed == 8 and self.reach["proxy"]:
                    self.leave(self.login(b"bob", b""))
            except (ServerError, OSError):
                time.sleep(0.02)

    @staticmethod
    def leave(wire):
        if wire:
            wire.quit()

    def stallers(self):
        """Handshakes that stall: given up by the client or the server, or ended well, but late."""
        stall = self.reach["stall"]
        held = []
        while self.going() or held:
            if self.going() and len(held) < 25:
                try:
                    held.append(self.stalled(stall))
                except (ServerError, OSError):
                    time.sleep(0.02)
            now = time.monotonic()
            for entry in [entry for entry in held if entry[0] < now]:
                held.remove(entry)
                self.release(*entry[1:])
            time.sleep(0.01)

    def stalled(self, stall):
        source = self.source()
        wire = self.wire(source)
        kind = self.random.randrange(6)
        if kind:
            wire.greet()
        user = self.random.choice(APPS)
        if kind in (3, 4):
            # The server asks for the password in the way of the account, and waits.
            wire.send_login(user, raw_tail=user + OTHER_PLUGIN)
            wire.read()
        by_server = kind in (0, 1, 3) and self.random.random() < 0.5
        wait = stall + 1.5 if by_server else self.random.uniform(0, 0.9 * stall)
        return time.monotonic() + wait, wire, kind, user, source

    def release(self, wire, kind, user, source):
        key = (user, source.encode())
        try:
            if kind == 4:
                wire.write(native_scramble(PASSWORD, wire.seed))
                wire.finish_login(PASSWORD)
                self.let_in[key] += 1
                wire.quit()
            elif kind in (2, 5):
                self.leave(self.login(user, source=source, wire=wire))
            else:
                wire.drop()
        except ServerError as error:
            self.refused[error.number] += 1
            wire.drop()
        except OSError:
            self.unsure[key] += 1

    def crowds(self):
        """More connections at once than the server has, again and again."""
        while self.going():
            wires = []
            for _ in range(self.reach["crowd"]):
                source = self.source()
                try:
                    wire = self.wire(source)
                    if not select.select([wire.socket], [], [], 2)[0]:
                        wire.drop()
                        continue
                    wire.greet()
                    if (wire := self.login(self.random.choice(APPS), source=source, wire=wire)):
                        wires.append(wire)
                except ServerError as error:
                    self.refused[error.number] += 1
                except OSError:
                    time.sleep(0.02)
            time.sleep(self.random.uniform(0, 0.3))
            for wire in wires:
                self.random.choice([wire.quit, wire.drop])()
            time.sleep(self.random.uniform(0.2, 1))

    def killer(self):
        """Ends the sessions of others."""
        while self.going():
            wire = self.login(b"killer", source=None)
            try:
                while wire and self.going():
                    rows = wire.query(b"SELECT ID FROM information_schema.PROCESSLIST WHERE USER LIKE 'app%'")
                    if rows:
                        wire.query(b"KILL %b" % self.random.choice(rows)[0])
                    time.sleep(0.1)
            except ServerError as error:
                self.refused[error.number] += 1
            except OSError:
                self.away()
            self.leave(wire)

    def boss(self):
        """One user from one host, several times a second."""
        while self.going():
            self.leave(self.login(b"boss", b"", source="127.0.0.77"))
            time.sleep(self.random.uniform(0.05, 0.2))

    def calm(self):
        """Somebody, now and then."""
        while self.going():
            self.leave(self.login(self.random.choice(APPS)))
            time.sleep(self.random.uniform(0.3, 1))

    PARTS = ["quick_socket", "quick_address", "quick_reads", "pool", "strangers", "stallers", "crowds",
             "killer"]


def open_fast(reach, host):
    if host is None:
        wire = socket.socket(socket.AF_UNIX)
        wire.settimeout(20)
        wire.connect(reach["socket"])
        return wire
    wire = socket.socket()
    wire.settimeout(20)
    wire.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.bind((host, 0))
    wire.connect(("127.0.0.1", reach["port"]))
    return wire


def play(reach, number, name):
    part = Part(reach, number)
    getattr(part, name)()
    return part.let_in, part.unsure, part.refused


def main():
    reach = json.loads(sys.argv[1])
    sums = [collections.Counter() for _ in range(3)]
    fork = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(len(reach["parts"]), fork) as pool:
        plays = [pool.submit(play, reach, number, name) for number, name in enumerate(reach["parts"])]
        for done in plays:
            for total, found in zip(sums, done.result()):
                total.update(found)
    let_in, unsure, refused = sums
    listed = [[[user.hex(), host.hex(), count] for (user, host), count in each.items()]
              for each in (let_in, unsure)]
    print(json.dumps({"let_in": listed[0], "unsure": listed[1], "refused": refused}))


if __name__ == "__main__":
    main()
