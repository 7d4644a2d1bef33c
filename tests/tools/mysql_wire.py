"""A small client of the MySQL protocol that sends exactly the bytes it is told to.

Ordinary clients refuse or repair what a recorder of audit logs needs to send: names with line
breaks or invalid UTF-8, a port scan, a handshake broken in the middle. Names, passwords and
statements are bytes here and go over the wire as given. Packets above 16 MiB, compression, TLS
and the binary row format are left out.

Layouts: the protocol pages of MariaDB's documentation ("Client/Server Protocol").
"""

import hashlib
import socket
import struct

PROTOCOL_41 = 0x0200
CONNECT_WITH_DB = 0x0008
SECURE_CONNECTION = 0x8000
PLUGIN_AUTH = 0x80000
MULTI_STATEMENTS = 0x10000
MULTI_RESULTS = 0x20000
LONG_PASSWORD = 0x1
TRANSACTIONS = 0x2000
MORE_RESULTS_EXIST = 0x0008

UTF8MB4 = 45
BINARY = 63


class ServerError(Exception):
    """An error packet: number and text."""

    def __init__(self, number, text):
        super().__init__(f"{number}: {text}")
        self.number = number


def native_scramble(password, seed):
    """The answer of mysql_native_password to the 20 bytes `seed`."""
    if not password:
        return b""
    once = hashlib.sha1(password).digest()
    twice = hashlib.sha1(once).digest()
    mask = hashlib.sha1(seed + twice).digest()
    return bytes(a ^ b for a, b in zip(once, mask))


class Wire:
    """One connection. `peer` is a unix socket path or a (address, port) pair; `source` an
    address of this machine to connect from."""

    def __init__(self, peer, source=None, timeout=30):
        if isinstance(peer, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.socket.bind((source or "127.0.0.1", 0))
        self.socket.settimeout(timeout)
        self.socket.connect(peer)
        self.port = None if isinstance(peer, str) else self.socket.getsockname()[1]
        self.sequence = 0
        self.connection_id = None
        self.seed = b""

    # -- packets

    def _exactly(self, length):
        parts = []
        while length:
            part = self.socket.recv(length)
            if not part:
                raise ConnectionError("the server closed the connection")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def read(self):
        header = self._exactly(4)
        self.sequence = (header[3] + 1) & 0xFF
        return self._exactly(int.from_bytes(header[:3], "little"))

    def write(self, payload, length=None):
        """`length` other than that of the payload makes a broken packet."""
        length = len(payload) if length is None else length
        self.socket.sendall(length.to_bytes(3, "little") + bytes([self.sequence]) + payload)
        self.sequence = (self.sequence + 1) & 0xFF

    def command(self, code, payload=b""):
        self.sequence = 0
        self.write(bytes([code]) + payload)

    # -- login

    def greet(self):
        """Reads the greeting; returns the connection id."""
        packet = self.read()
        self._raise_if_error(packet)
        at = packet.index(0, 1) + 1
        self.connection_id = struct.unpack_from("<I", packet, at)[0]
        self.seed = packet[at + 4 : at + 12] + packet[at + 31 : at + 43]
        return self.connection_id

    def send_login(self, user, password=b"", database=None, charset=UTF8MB4, raw_tail=None):
        """Sends the answer to the greeting. `raw_tail` replaces what follows the fixed part."""
        flags = (LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH | TRANSACTIONS
                 | MULTI_STATEMENTS | MULTI_RESULTS)
        if database is not None:
            flags |= CONNECT_WITH_DB
        head = struct.pack("<IIB23x", flags, 1 << 24, charset)
        answer = native_scramble(password, self.seed)
        tail = user + b"\0" + bytes([len(answer)]) + answer
        if database is not None:
            tail += database + b"\0"
        tail += b"mysql_native_password\0"
        self.write(head + (tail if raw_tail is None else raw_tail))

    def finish_login(self, password=b""):
        """Reads until the server accepts; raises ServerError where it refuses."""
        while True:
            packet = self.read()
            self._raise_if_error(packet)
            if packet[0] == 0x00:
                return
            if packet[0] == 0xFE and len(packet) > 1:
                plugin, _, data = packet[1:].partition(b"\0")
                if plugin == b"mysql_native_password":
                    self.write(native_scramble(password, data[:20]))
                else:
                    # dialog, cleartext: the password as it is, ended by NUL.
                    self.write(password + b"\0")
            else:
                # A further question of the dialog plugin.
                self.write(password + b"\0")

    def login(self, user, password=b"", database=None, charset=UTF8MB4):
        self.send_login(user, password, database, charset)
        self.finish_login(password)

    def change_user(self, user, password=b"", database=b"", charset=UTF8MB4):
        answer = native_scramble(password, self.seed)
        self.command(0x11, user + b"\0" + bytes([len(answer)]) + answer + database + b"\0"
                     + struct.pack("<H", charset) + b"mysql_native_password\0")
        self.finish_login(password)

    # -- commands

    @staticmethod
    def _raise_if_error(packet):
        if packet[:1] == b"\xff":
            text = packet[3:]
            if text[:1] == b"#":
                text = text[6:]
            number = struct.unpack_from("<H", packet, 1)[0]
            raise ServerError(number, text.decode("utf-8", "replace"))

    @staticmethod
    def _length(packet, at):
        """A length-encoded number: its value (None is NULL) and where it ends."""
        first = packet[at]
        if first < 0xFB:
            return first, at + 1
        if first == 0xFB:
            return None, at + 1
        size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
        return int.from_bytes(packet[at + 1 : at + 1 + size], "little"), at + 1 + size

    def _result(self):
        """One result: its rows, and whether another follows."""
        packet = self.read()
        self._raise_if_error(packet)
        if packet[0] == 0x00:
            _, at = self._length(packet, 1)
            _, at = self._length(packet, at)
            return [], struct.unpack_from("<H", packet, at)[0] & MORE_RESULTS_EXIST
        columns, _ = self._length(packet, 0)
        for _ in range(columns + 1):
            self.read()
        rows = []
        while True:
            packet = self.read()
            self._raise_if_error(packet)
            if packet[0] == 0xFE and len(packet) < 9:
                return rows, struct.unpack_from("<H", packet, 3)[0] & MORE_RESULTS_EXIST
            row, at = [], 0
            for _ in range(columns):
                length, at = self._length(packet, at)
                row.append(None if length is None else packet[at : at + length])
                at += length or 0
            rows.append(row)

    def query(self, statement):
        """Runs a statement; returns the rows of its last result as lists of bytes."""
        self.command(0x03, statement)
        while True:
            rows, more = self._result()
            if not more:
                return rows

    def use(self, database):
        self.command(0x02, database)
        self._raise_if_error(self.read())

    def prepare(self, statement):
        """Returns the number of the prepared statement and of its parameters."""
        self.command(0x16, statement)
        packet = self.read()
        self._raise_if_error(packet)
        number, columns, parameters = struct.unpack_from("<IHH", packet, 1)
        for count in (parameters, columns):
            if count:
                for _ in range(count + 1):
                    self.read()
        return number, parameters

    def execute(self, number, values):
        """Executes with `values` (bytes) as strings; the rows are read and thrown away."""
        payload = struct.pack("<IBI", number, 0, 1)
        if values:
            payload += bytes((len(values) + 7) // 8) + b"\1" + b"\xfd\0" * len(values)
            for value in values:
                payload += bytes([0xFC]) + struct.pack("<H", len(value)) + value
        self.command(0x17, payload)
        packet = self.read()
        self._raise_if_error(packet)
        if packet[0] == 0x00:
            return
        columns, _ = self._length(packet, 0)
        for _ in range(columns + 1):
            self.read()
        while True:
            packet = self.read()
            self._raise_if_error(packet)
            if packet[0] == 0xFE and len(packet) < 9:
                return

    def quit(self):
        """Ends the session politely and waits for the server to close it."""
        try:
            self.command(0x01)
            while self.socket.recv(4096):
                pass
        except OSError:
            pass
        self.socket.close()

    def drop(self):
        """Closes the socket without a word."""
        self.socket.close()
