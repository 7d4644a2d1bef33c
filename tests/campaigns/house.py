"""What the campaigns share: a log that a server writes and that is rotated, the program, the truth."""

import argparse
import gzip
import json
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
USERS = 40
# Whether a login is settled, waits or is contested is another matter.
LOGINS = """SELECT server, user, count FROM tally WHERE error = 0 AND count > 0
    UNION ALL SELECT server, user, count FROM unsettled WHERE count > 0
    UNION ALL SELECT server, user, count FROM contested WHERE count > 0"""


class Violation(Exception):
    """A promise that did not hold."""


def program(given):
    """The program to test: as told, or what cargo built last, release first."""
    if given:
        return pathlib.Path(given).resolve()
    told = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"],
        cwd=ROOT, capture_output=True, check=True, text=True)
    target = pathlib.Path(json.loads(told.stdout)["target_directory"])
    built = [path for path in (target / "release/rollcall", target / "debug/rollcall") if path.exists()]
    if not built:
        sys.exit("rollcall is not built: cargo build --release")
    return built[0]


class House:
    """A folder with a log, its rotated files, and a ledger; every record written is known."""

    def __init__(self, folder, binary, seed, ledger=None):
        self.folder = pathlib.Path(folder)
        self.logs = self.folder / "logs"
        self.logs.mkdir(parents=True)
        (self.folder / "rollcall.toml").write_text("")
        self.ledger = pathlib.Path(ledger or self.folder / "ledger.sqlite")
        self.binary = binary
        self.random = random.Random(seed)
        self.live = self.logs / "server_audit.log"
        self.live.write_bytes(b"")
        self.written = {}
        self.number = 0

    def write(self, count):
        """Appends records, one write(2) each as the server does."""
        with open(self.live, "ab", buffering=0) as log:
            for _ in range(count):
                self.number += 1
                n = self.number
                user = f"u{self.random.randrange(USERS)}"
                at = time.strftime("%Y%m%d %H:%M:%S", time.gmtime(1_793_491_200 + n))
                database = "d" * self.random.randrange(60)
                log.write(f"{at},db1,{user},10.0.0.1,{n},0,CONNECT,{database},,0\n".encode())
                self.written[user] = self.written.get(user, 0) + 1

    def rotate(self):
        """Rotates as logrotate does, in one of its ways; nothing is ever deleted."""
        numbers = [path for path in self.logs.iterdir() if path != self.live]
        numbers.sort(key=lambda path: -int(path.name.split(".")[2]))
        for path in numbers:
            parts = path.name.split(".")
            parts[2] = str(int(parts[2]) + 1)
            path.rename(self.logs / ".".join(parts))
        first = self.logs / "server_audit.log.1"
        if self.random.random() < 0.3:
            shutil.copyfile(self.live, first)
            os.truncate(self.live, 0)
        else:
            self.live.rename(first)
            self.live.write_bytes(b"")

    def pack(self):
        plain = [path for path in self.logs.iterdir() if path.name.split(".")[-1].isdigit()]
        if plain:
            path = self.random.choice(plain)
            packed = path.with_name(path.name + ".gz")
            packed.write_bytes(gzip.compress(path.read_bytes(), 1))
            path.unlink()

    def change(self):
        """Something that happens to a log."""
        what = self.random.random()
        if what < 0.75:
            self.write(self.random.randrange(1, 30))
        elif what < 0.9:
            self.rotate()
        else:
            self.pack()

    def command(self, *arguments):
        return [str(self.binary), "--config", str(self.folder / "rollcall.toml"),
                "--ledger", str(self.ledger), *arguments]

    def environment(self):
        return {"HOME": str(self.folder), "TZ": "UTC", "PATH": os.environ["PATH"]}

    def run(self, *arguments, wrapper=()):
        return subprocess.run(
            [*wrapper, *self.command(*arguments)], env=self.environment(), cwd=self.folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=120)

    def start(self, *arguments):
        return subprocess.Popen(
            self.command(*arguments), env=self.environment(), cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def start_watch(self, log):
        """A watch over what is configured, when it follows."""
        watch = subprocess.Popen(
            self.command("watch", "-q"), env=self.environment(), cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        while not self.ledger.exists() and watch.poll() is None:
            time.sleep(0.01)
        return watch

    def counted(self):
        """Logins by user over all sources, as the ledger holds them; nothing where it holds none."""
        if not self.ledger.exists():
            return {}
        with sqlite3.connect(self.ledger, timeout=30) as db:
            if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                raise Violation("the ledger is corrupt")
            tables = db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'tally'").fetchone()
            rows = db.execute(f"SELECT user, sum(count) FROM ({LOGINS}) GROUP BY user") if tables[0] else []
            counted = dict(rows)
        db.close()
        return counted

    def check_no_double(self):
        counted = self.counted()
        for user, count in counted.items():
            if count > self.written.get(user, 0):
                raise Violation(f"{user} counts {count}, written {self.written.get(user, 0)}")
        return counted

    def check_all(self, scan=True):
        """After a scan that nothing disturbs every record counts, once."""
        if scan:
            done = self.run("scan", str(self.logs))
            if done.returncode != 0:
                raise Violation(f"a scan ended with {done.returncode}: {done.stderr.strip()}")
        if (counted := self.counted()) != self.written:
            lost = {user: (count, counted.get(user)) for user, count in self.written.items()
                    if counted.get(user) != count}
            raise Violation(f"written and counted differ: {lost}")


def common_arguments(description):
    """The options that all campaigns have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--program", help="the rollcall to test")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    return parser


def arguments(description, runs):
    """And those of the ones that repeat something small."""
    parser = common_arguments(description)
    parser.add_argument("--runs", type=int, default=runs, help=f"how many (default {runs})")
    parser.add_argument("--state", type=pathlib.Path, help="where to note how far it is, to go on there")
    parser.add_argument("--slice", type=float, help="end after so many seconds; --state goes on")
    return parser


class Progress:
    """Figures of a campaign, in a file where one is told, so that it can go on."""

    def __init__(self, options):
        self.path = options.state
        self.figures = {"seed": options.seed, "runs": 0}
        if self.path and self.path.exists():
            self.figures = json.loads(self.path.read_text())
        self.end = time.monotonic() + options.slice if options.slice else None

    def add(self, **figures):
        for name, value in figures.items():
            self.figures[name] = self.figures.get(name, 0) + value

    def save(self):
        if self.path:
            beside = self.path.with_name(self.path.name + ".new")
            beside.write_text(json.dumps(self.figures))
            beside.replace(self.path)

    def is_over(self):
        return self.end is not None and time.monotonic() > self.end

    def line(self, name):
        rest = ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in self.figures.items()
                         if key != "seed")
        return f"{name}: {rest} (seed {self.figures['seed']})"




def main(name, campaign):
    """Runs a campaign; its violation is the last line and the exit code."""
    try:
        sys.exit(campaign())
    except Violation as violation:
        sys.exit(f"{name}: VIOLATION: {violation}")
