"""Names that forge logins, in every form that is known, and how a client sends them.

A form is a function of a `Line` (what the forged login shall say) that returns the name to be sent; the ways
to send it are refusals without a password, and what a client with few rights may name: databases, tables,
a user to change to. In the samples below `20261120 07:18:43,db1,` is written `…`.

    …x                                              the name begins in a genuine record
    …f12,h,4242,0,CONNECT,,,0                       is a whole record in the middle
    …y,127.0.0.1,17,0,FAILED_CONNECT,,,1045         and ends as a genuine one again
"""

import random
import time

# With three bytes a character the first record of a refusal, cut at 132 bytes, has nothing of the rest.
EURO = "\u20ac"
TABLE_CHARS_MAX = 64
NAME_CHARS_MAX = 128


class Line:
    """The login that is to be forged."""

    SHAPES = ["plain"] * 12 + ["port", "eleven", "tls", "spaces", "zeros", "return", "change", "other-server",
                               "no-server"]

    def __init__(self, user, host, identity, stamp, server, own, shape="plain"):
        self.user, self.identity, self.stamp, self.server = user, identity, stamp, server
        self.host, self.shape = host, shape
        # The id of the connection by which it is sent.
        self.own = own

    @property
    def start(self):
        return f"{self.stamp},{self.server},"

    def login(self, database="", server=None):
        """The record as one of the writers of this dialect has it."""
        server = {"other-server": "web2", "no-server": ""}.get(self.shape, self.server) \
            if server is None else server
        operation = "CHANGEUSER" if self.shape == "change" else "CONNECT"
        identity = f"00{self.identity}" if self.shape == "zeros" else self.identity
        host = f"{self.host}:4711" if self.shape == "port" else self.host
        fields = [self.stamp, server, self.user, host, identity, 0, operation, database,
                  "TLSv1.3" if self.shape == "tls" else "", 0]
        if self.shape == "eleven":
            fields.append("SOCKET")
        return (", " if self.shape == "spaces" else ",").join(map(str, fields)) \
            + ("\r" if self.shape == "return" else "")

    def bare(self):
        """The same behind a genuine beginning of a record."""
        blanks = 2 if self.shape == "spaces" else 0
        return self.login(server=self.server)[len(self.start) + blanks:]

    def record(self, operation, identity=None, user="u", host="h"):
        identity = self.own if identity is None else identity
        error = {"FAILED_CONNECT": 1045}.get(operation, 0)
        return f"{user},{host},{identity},0,{operation},,,{error}"


# -- names of refused logins: no password is needed

def loose_ends(line):
    """The rest of both records fits no shape."""
    return f"x\n{line.login('mysql')}\nz"


def two_lines(line):
    return f"{line.bare()}\n{line.start}x"


def three_lines(line):
    return f"u,h,9,0,DISCONNECT,,,0\n{line.login()}\n{line.start}x"


def last_line(line):
    """The login is what the genuine record ends as."""
    return f"u,h,9,0,DISCONNECT,,,0\n{line.start}{line.user},{line.host},{line.identity},0,CONNECT,x"


def two_forged(line):
    return f"{line.bare()}\n{line.login('a')}\n{line.start}x"


def own_refusal(line):
    """A refusal of the own id comes before the genuine one."""
    return f"{line.record('FAILED_CONNECT')}\n{line.login()}\n{line.start}y"


def refusal_first(line):
    """The id that is claimed was refused before."""
    return f"{line.record('FAILED_CONNECT', line.identity)}\n{line.login()}\n{line.start}y"


def end_first(line):
    """The own connection seems to be over."""
    return f"{line.record('DISCONNECT')}\n{line.login()}\n{line.start}y"


def login_and_end(line):
    end = f"{line.start}{line.user},{line.host},{line.identity},0,DISCONNECT,,,0"
    return f"{line.bare()}\n{end}\n{line.start}x"


def other_end(line):
    """The record behind it ends the claimed connection."""
    return f"{line.bare()}\n{line.start}{line.user},{line.host},{line.identity},0,DISCONNECT,,,0,"


def changed_silently(line):
    """A change of user without a name, and the record that names it: nothing begins."""
    named = f"{line.start}{line.user},{line.host},{line.identity},7,READ,a,b,"
    return f",,{line.identity},0,CHANGEUSER,O,,0\n{named}\n{line.start}y"


def cut(line):
    """Written once: the first record is cut before it."""
    return EURO * 44 + f",,9,9,READ,,,\n{line.login()}\n{line.start}"


def cut_short(line):
    """The first record ends inside the login."""
    return EURO * 40 + f",,9,9,READ,,,\n{line.login()}\n{line.start}"


def cut_in_two(line):
    return f",,9,9,READ,,,\n{line.start}" + EURO * 17 + f",,9,9,READ,,,\n{line.login()}\n{line.start}"


def cut_own_end(line):
    """Behind the cut the own connection ends in the name, before the login."""
    return EURO * 44 + f",,{line.own},0,DISCONNECT,,,0\n{line.login()}\n"


def cut_own_end_whole(line):
    """The same, and the genuine end is that of another name."""
    return EURO * 44 + f",,{line.own},0,DISCONNECT,,,0\n{line.login()}\n,"


def cut_same_name(line):
    """The end in the name has the name of the first record, as far as that is known."""
    return EURO * 44 + f",127.0.0.1,{line.own},0,DISCONNECT,,,0\n{line.login()}"


def cut_loose(line):
    return EURO * 44 + f"\n{line.login()}\nz"


def cut_change(line):
    """A change of user stands before the login."""
    return EURO * 44 + f",,{line.own},0,CHANGEUSER,,,0\n{line.login()}\n"


def cut_refusal(line):
    """The login stands between the two records of a refusal of somebody else."""
    return EURO * 44 + f",,{line.identity},0,FAILED_CONNECT,,,1\n{line.login()}\n"


def cut_doubtful(line):
    """The first record may be that of a change of user as well; the second is none that is whole."""
    return f"a,,9,0,CHANGEUSER,{EURO * 38},,0\n{line.login()}\n"


def cut_doubtful_end(line):
    """The same; the last line may be a login as well."""
    return f"a,,9,9,READ,{EURO * 40},,\n{line.login()}\n{line.start}b,,9,0,CONNECT,"


def cut_twofold(line):
    """The first record may be a refusal of two users."""
    return f"a,,9,0,FAILED_CONNECT,{EURO * 37},,1\n{line.login()}\n"


def cut_quoted(line):
    """The server takes the quotes away."""
    return f"'{cut(line)}'"


def two_bytes(line):
    return "\u00e9" * 66 + f",,9,9,READ,,,\n{line.login()}"


def commas(line):
    """A name in the middle of which further fields seem to stand."""
    return f"{line.bare()}\n{line.start}a,b,9,0,DISCONNECT,,,0,{line.user}"


REFUSED = [loose_ends, two_lines, three_lines, last_line, two_forged, own_refusal, refusal_first, end_first,
           login_and_end, other_end, changed_silently, cut, cut_short, cut_in_two, cut_own_end,
           cut_own_end_whole, cut_same_name, cut_loose, cut_change, cut_refusal, cut_doubtful, cut_doubtful_end, cut_twofold,
           cut_quoted, two_bytes, commas]


def change_live(line):
    """A session of somebody else seems to change its user; its next record tells to whom."""
    return f"u,h,9,0,DISCONNECT,,,0\n{line.start},,{line.identity},0,CHANGEUSER,OOO,,0\n{line.start}y"


def end_live(line):
    """A session of somebody else seems to end, as that of another user."""
    return f"{line.user},h,{line.identity},0,DISCONNECT,,,0\n{line.start}y"


def refuse_live(line):
    """A session of somebody else seems to be a refusal."""
    return f"{line.user},h,{line.identity},0,FAILED_CONNECT,,,1045\n{line.start}y"


def statement(line):
    """A session of nobody seems to read."""
    return f"{line.user},h,{line.identity},7,READ,mysql,user,\n{line.start}y"


def swallow(line):
    """The last line could be the beginning of a record that goes on in the next one, of somebody else."""
    return f"{line.user},h,9,0,DISCONNECT,,,0\n{line.stamp},"


# What forges no login, but may harm those of others.
HARMFUL = [change_live, end_live, refuse_live, statement, swallow]


# -- names that take a password

def database(line):
    """A database's name, in both records of a login."""
    return f"s,,0\n{line.start}{line.user},{line.host},{line.identity},0,CONNECT,"


def database_loose(line):
    return f"s,,0\n{line.login()}\nz"


def used_database(line):
    """A database's name in the record of a statement."""
    return f"d,'',0\n{line.login()}\nz"


def table(line):
    """A table's name; the comma behind it makes a record of eleven fields."""
    return f"t,\n{line.login()}"


def table_loose(line):
    return f"t,\n{line.login()}\nz"


def changed(line):
    """The user that a session shall change to, which is refused, is written once."""
    return f"x,h,1,0,CHANGEUSER,,,1045\n{line.login()}\n{line.start}y"


def changed_loose(line):
    return f"x,h,{line.own},0,CHANGEUSER,,,1045\n{line.login()}\n"


NAMED = [database, database_loose, used_database, table, table_loose, changed, changed_loose]


class Chance:
    """Chooses ids, stamps and hosts as an attacker would."""

    IDS = ["own", "next", "after-next", "soon", "later", "far-later", "too-far", "before", "long-before",
           "low", "zero", "internal", "live", "stalled", "held", "huge"]
    STAMPS = ["now", "now", "now", "now", "second-ahead", "second-back", "minute-ahead", "hours-ahead",
              "hours-back", "years-ahead"]

    def __init__(self, seed, count):
        """For `count` names: each form with each id as often as that allows."""
        self.random = random.Random(seed)
        pairs = [(form, identity) for form in REFUSED + NAMED + HARMFUL for identity in self.IDS]
        self.pairs = []
        while len(self.pairs) < count:
            self.random.shuffle(pairs)
            self.pairs += pairs

    def identity(self, kind, own, known):
        """`known`: the scheduler's id, one of a live session, one of a stalled handshake, and one whose
        handshake goes on byte by byte, so that no record has it for a long time."""
        return {"own": own, "next": own + 1, "after-next": own + 2,
                "soon": own + self.random.randrange(3, 60),
                "later": own + self.random.randrange(100, 3000),
                "far-later": own + self.random.randrange(3000, 9990), "too-far": own + 1_000_000,
                "before": max(1, own - 1), "long-before": max(1, own - self.random.randrange(200, 2000)),
                "low": self.random.randrange(2, 100), "zero": 0, "internal": known["internal"],
                "live": known["live"], "stalled": known["stalled"],
                "held": known["held"] if kind == "held" else 0,
                "huge": (1 << 64) - 1}[kind]

    @staticmethod
    def stamp(kind):
        ahead = {"now": 0, "second-ahead": 1, "second-back": -1, "minute-ahead": 60, "hours-ahead": 9000,
                 "hours-back": -9000, "years-ahead": 315_360_000}[kind]
        return time.strftime("%Y%m%d %H:%M:%S", time.gmtime(time.time() + ahead))


def fits(form, name):
    """Whether the server takes the whole name."""
    most = TABLE_CHARS_MAX if form in (database, database_loose, used_database, table, table_loose) \
        else NAME_CHARS_MAX
    return len(name) <= most
