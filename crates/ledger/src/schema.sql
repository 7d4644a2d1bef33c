-- The ledger, schema version 8. Times are microseconds since 1970-01-01T00:00:00Z. Names are TEXT
-- where they are UTF-8 without NUL, else BLOB. docs/ledger.md tells what each table is for.

CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- Audited servers.
CREATE TABLE server (id INTEGER PRIMARY KEY, name NOT NULL UNIQUE);

-- Where evidence comes from: a log file set, or a table (`table schema.name`). label: the server's name where the reader was told it.
CREATE TABLE source (
  id INTEGER PRIMARY KEY, location NOT NULL, label NOT NULL, dialect TEXT NOT NULL,
  last_read_us INTEGER,
  UNIQUE (location, label));

-- The checkpoint of each file: what was read of it, and how it is known again.
CREATE TABLE file (
  id INTEGER PRIMARY KEY, source INTEGER NOT NULL, path NOT NULL,
  device INTEGER NOT NULL, inode INTEGER NOT NULL, born_us INTEGER, bytes INTEGER NOT NULL,
  modified_us INTEGER NOT NULL, print BLOB NOT NULL, drained INTEGER NOT NULL,
  head_bytes INTEGER NOT NULL, head BLOB NOT NULL, offset INTEGER NOT NULL,
  tail_bytes INTEGER NOT NULL, tail BLOB NOT NULL, mid_record INTEGER NOT NULL, newest_us INTEGER,
  gone INTEGER NOT NULL DEFAULT 0, lines BLOB NOT NULL DEFAULT x'');
CREATE INDEX file_source ON file (source);

-- Counts. error 0: logins, and the newest sign of a session (active_us); else refused attempts with
-- that error number, -1 where the source does not tell it. hours: when, by the hour
-- (src/timeline.rs).
CREATE TABLE tally (
  server INTEGER NOT NULL, source INTEGER NOT NULL, user NOT NULL, host NOT NULL,
  error INTEGER NOT NULL,
  count INTEGER NOT NULL, first_us INTEGER, last_us INTEGER, active_us INTEGER, last_text TEXT,
  hours BLOB NOT NULL,
  PRIMARY KEY (server, source, user, host, error)) WITHOUT ROWID;

-- Refusals of user and host pairs that never logged in, by the hour (old ones: the day): entries
-- with their names (src/strangers.rs). Beyond the number kept: count, first and last of the others,
-- and how many pairs they are (pairs: about; prints: a sketch from which it follows).
CREATE TABLE stranger (
  server INTEGER NOT NULL, source INTEGER NOT NULL, start_us INTEGER NOT NULL, day INTEGER NOT NULL,
  pairs INTEGER NOT NULL, count INTEGER NOT NULL, first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  prints BLOB NOT NULL, entries BLOB NOT NULL,
  PRIMARY KEY (server, source, start_us, day)) WITHOUT ROWID;

-- How far each server is known from each source.
CREATE TABLE progress (
  server INTEGER NOT NULL, source INTEGER NOT NULL, records INTEGER NOT NULL,
  oldest_us INTEGER NOT NULL, newest_us INTEGER NOT NULL,
  PRIMARY KEY (server, source)) WITHOUT ROWID;

-- Evidence: what each file held of each server.
CREATE TABLE stretch (
  server INTEGER NOT NULL, source INTEGER NOT NULL, file INTEGER NOT NULL,
  from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, records INTEGER NOT NULL,
  PRIMARY KEY (server, source, file)) WITHOUT ROWID;

-- Files that are pieces of one log with nothing between them: file goes on where before ends.
CREATE TABLE adjoin (
  file INTEGER NOT NULL, before INTEGER NOT NULL, PRIMARY KEY (file, before)) WITHOUT ROWID;

-- Evidence known to be missing: what the file held from from_byte on (to to_byte at least), and what
-- followed it, up to the next record that is known.
CREATE TABLE gap (
  id INTEGER PRIMARY KEY, source INTEGER NOT NULL, path NOT NULL, from_us INTEGER, to_us INTEGER,
  noticed_us INTEGER NOT NULL, reason TEXT NOT NULL,
  file INTEGER, from_byte INTEGER, to_byte INTEGER);

-- What a log itself says may be missing in it (src/holes.rs). byte: where the switch or the doubt stands;
-- server 0: all of the source. before_…: the last record before, or the switch; behind_…: the next record
-- of this server (with why logins-…: login), NULL while it is not read.
CREATE TABLE hole (
  source INTEGER NOT NULL, server INTEGER NOT NULL, file INTEGER NOT NULL, byte INTEGER NOT NULL,
  why TEXT NOT NULL, switched_by BLOB NOT NULL, detail BLOB NOT NULL,
  before_byte INTEGER, before_us INTEGER, behind_byte INTEGER, behind_us INTEGER,
  PRIMARY KEY (source, server, file, byte, why)) WITHOUT ROWID;
CREATE INDEX hole_file ON hole (file);

-- How many holes are not kept one by one, and when they were.
CREATE TABLE hole_rest (
  source INTEGER NOT NULL, server INTEGER NOT NULL, count INTEGER NOT NULL,
  from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, PRIMARY KEY (source, server)) WITHOUT ROWID;

-- The ends of each piece of a file that was read in one go (pieces that adjoin: of all of them), as holes
-- need them: the first record of the server (0: any), its first login, the last record.
CREATE TABLE segment (
  file INTEGER NOT NULL, server INTEGER NOT NULL, from_byte INTEGER NOT NULL,
  to_byte INTEGER NOT NULL, first_byte INTEGER NOT NULL, first_us INTEGER NOT NULL,
  login_byte INTEGER, login_us INTEGER, last_us INTEGER NOT NULL,
  PRIMARY KEY (file, server, from_byte)) WITHOUT ROWID;

-- The connections in a segment: how many, and those at its ends (src/id_ends.rs).
CREATE TABLE segment_ids (
  file INTEGER NOT NULL, server INTEGER NOT NULL, from_byte INTEGER NOT NULL, ids BLOB NOT NULL,
  PRIMARY KEY (file, server, from_byte)) WITHOUT ROWID;

-- Of segments whose lines have numbers (src/numbers.rs): the first and the last of these lines, how many could
-- not be written until then, and their connection ids.
CREATE TABLE series (
  file INTEGER NOT NULL, server INTEGER NOT NULL, from_byte INTEGER NOT NULL,
  first_byte INTEGER NOT NULL, first_us INTEGER NOT NULL, first_line INTEGER NOT NULL,
  first_lost INTEGER NOT NULL, first_thread INTEGER NOT NULL,
  last_byte INTEGER NOT NULL, last_us INTEGER NOT NULL, last_line INTEGER NOT NULL,
  last_lost INTEGER NOT NULL, last_thread INTEGER NOT NULL,
  PRIMARY KEY (file, server, from_byte)) WITHOUT ROWID;

-- On which day (its beginning) a file was found last.
CREATE TABLE sighting (file INTEGER PRIMARY KEY, day_us INTEGER NOT NULL);

-- How many files of a source were forgotten, and the newest record that they held.
CREATE TABLE forgotten (
  source INTEGER PRIMARY KEY, files INTEGER NOT NULL, newest_us INTEGER NOT NULL);

-- Lives of a server: the lowest and the highest connection id of each ten minutes (old ones: each
-- day), from which they follow (src/runs.rs).
CREATE TABLE run (
  server INTEGER NOT NULL, source INTEGER NOT NULL, start_us INTEGER NOT NULL, day INTEGER NOT NULL,
  low_id INTEGER NOT NULL, low_us INTEGER NOT NULL, high_id INTEGER NOT NULL,
  high_us INTEGER NOT NULL,
  PRIMARY KEY (server, source, start_us, day)) WITHOUT ROWID;

-- Who a connection id was, from when to when. from_us NULL: its beginning was not read (yet); to_us
-- NULL: its end was not. refused: the beginning was a refused login. loose: its end was not read in
-- one go with its beginning, and counts for tally.active_us only when it is forgotten.
CREATE TABLE connection (
  server INTEGER NOT NULL, source INTEGER NOT NULL, id INTEGER NOT NULL, from_us INTEGER,
  to_us INTEGER,
  user NOT NULL, host NOT NULL, port INTEGER, refused INTEGER NOT NULL, loose INTEGER NOT NULL);
CREATE INDEX connection_id ON connection (server, source, id);
CREATE INDEX connection_loose ON connection (server, user, host, to_us)
  WHERE loose AND NOT refused AND to_us IS NOT NULL;

-- Logins and other signs of a session (active_us) that are too new to be settled: not in tally yet.
-- last_text, hours: as in tally. contested_us: the newest of those that are contradicted already and not
-- counted here.
CREATE TABLE unsettled (
  server INTEGER NOT NULL, source INTEGER NOT NULL, user NOT NULL, host NOT NULL,
  count INTEGER NOT NULL, first_us INTEGER, last_us INTEGER, last_text TEXT, hours BLOB NOT NULL,
  active_us INTEGER, contested_us INTEGER,
  PRIMARY KEY (server, source, user, host)) WITHOUT ROWID;

-- The last connection records of each source, by which those that are read next are judged
-- (src/edges.rs), and up to where they were read.
CREATE TABLE edge (
  server INTEGER NOT NULL, source INTEGER NOT NULL, file INTEGER NOT NULL, offset INTEGER NOT NULL,
  records BLOB NOT NULL,
  PRIMARY KEY (server, source)) WITHOUT ROWID;

-- Logins and other signs of a session that other records contradict: in neither tally nor unsettled.
CREATE TABLE contested (
  server INTEGER NOT NULL, source INTEGER NOT NULL, user NOT NULL, host NOT NULL,
  count INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
  PRIMARY KEY (server, source, user, host)) WITHOUT ROWID;

-- How far an access log table was read, and how it is known again (src/access.rs). file: what stands for it
-- there, without bytes. made: when it was made, as its server tells. missing: lower ids that may still come.
-- anchors: hashes of the last rows.
CREATE TABLE access_mark (
  source INTEGER PRIMARY KEY, file INTEGER NOT NULL, made TEXT NOT NULL, last_id INTEGER NOT NULL,
  newest_us INTEGER, missing BLOB NOT NULL, anchors BLOB NOT NULL);

-- Which account the server itself says a user from a client host was matched to, and in how many logins.
CREATE TABLE matched (
  server INTEGER NOT NULL, source INTEGER NOT NULL, user NOT NULL, host NOT NULL,
  account_user NOT NULL, account_host NOT NULL,
  count INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
  PRIMARY KEY (server, source, user, host, account_user, account_host)) WITHOUT ROWID;

-- Which user of an account the login plugin says let a user in from a client host, and in how many logins.
CREATE TABLE let_in (
  server INTEGER NOT NULL, source INTEGER NOT NULL, user NOT NULL, host NOT NULL,
  account_user NOT NULL, count INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
  PRIMARY KEY (server, source, user, host, account_user)) WITHOUT ROWID;

-- Input that is no record, or none that can be trusted: totals, and a bounded sample.
CREATE TABLE doubt (
  source INTEGER NOT NULL, standing TEXT NOT NULL, reason TEXT NOT NULL,
  count INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (source, standing, reason)) WITHOUT ROWID;
CREATE TABLE doubt_sample (
  source INTEGER NOT NULL, standing TEXT NOT NULL, reason TEXT NOT NULL, rank INTEGER NOT NULL,
  file INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, text BLOB NOT NULL,
  PRIMARY KEY (source, standing, reason, rank, file, offset)) WITHOUT ROWID;

-- What each server said of itself when its accounts were read last. first_us: the first reading of this
-- very server.
CREATE TABLE snapshot (
  server NOT NULL PRIMARY KEY, first_us INTEGER NOT NULL, at_us INTEGER NOT NULL,
  family TEXT NOT NULL, release TEXT NOT NULL, version TEXT NOT NULL, hostname NOT NULL,
  uuid TEXT NOT NULL, started_us INTEGER, own_user NOT NULL, own_host NOT NULL,
  skip_name_resolve INTEGER NOT NULL, read_only INTEGER NOT NULL, is_replica INTEGER NOT NULL,
  has_init_connect INTEGER NOT NULL) WITHOUT ROWID;

-- What could not be read of it, and the statement that mends that.
CREATE TABLE account_missing (
  id INTEGER PRIMARY KEY, server NOT NULL, what TEXT NOT NULL, error INTEGER NOT NULL,
  remedy TEXT NOT NULL);
CREATE INDEX account_missing_server ON account_missing (server);

-- Its accounts and roles. NULL: not told. born: the row of account_change with which its life as we know
-- it begins; first_us: the first reading that shows it; absent_us: the last before that does not;
-- password_first_us: the earliest change of its password that was told. hidden_us: the last reading that
-- shows it, where those since do not and lack (hidden_missing: what that one lacked) so much that nothing
-- follows; such an account is none of the newest snapshot.
CREATE TABLE account (
  server NOT NULL, user NOT NULL, host NOT NULL, is_role INTEGER NOT NULL, plugin TEXT NOT NULL,
  locked INTEGER, expired INTEGER, password_us INTEGER, grants INTEGER, is_proxied INTEGER NOT NULL,
  born INTEGER NOT NULL, first_us INTEGER NOT NULL, absent_us INTEGER, password_first_us INTEGER,
  hidden_us INTEGER, hidden_missing TEXT,
  PRIMARY KEY (server, user, host)) WITHOUT ROWID;
CREATE INDEX account_born ON account (born);

-- What an account has several of. kind: right (one), role, default-role, proxy-for (one, two: user and host
-- pattern), or what runs with its rights (VIEW, PROCEDURE ...; one, two: schema and name).
CREATE TABLE account_part (
  id INTEGER PRIMARY KEY, server NOT NULL, user NOT NULL, host NOT NULL, kind TEXT NOT NULL,
  one NOT NULL, two NOT NULL);
CREATE INDEX account_part_account ON account_part (server, user, host);

-- What was known of an account before the newest reading did not tell it: value as in account_change, and
-- when it was told last.
CREATE TABLE account_lapse (
  server NOT NULL, user NOT NULL, host NOT NULL, fact TEXT NOT NULL, value TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (server, user, host, fact)) WITHOUT ROWID;

-- Sessions and connections that the server itself told of in the newest snapshot.
CREATE TABLE account_activity (
  id INTEGER PRIMARY KEY, server NOT NULL, kind TEXT NOT NULL, user NOT NULL, host NOT NULL,
  open INTEGER NOT NULL, total INTEGER);
CREATE INDEX account_activity_server ON account_activity (server);

-- Servers that answered under a name before another one did, from the first reading of each to the last.
CREATE TABLE former (
  server NOT NULL, from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, family TEXT NOT NULL,
  uuid TEXT NOT NULL, hostname NOT NULL,
  PRIMARY KEY (server, from_us)) WITHOUT ROWID;

-- What a server has counted of sessions: how many when it told so last, and that one of them was there at
-- since_us or later (NULL: nobody knows since when).
CREATE TABLE counted (
  server NOT NULL, kind TEXT NOT NULL, user NOT NULL, host NOT NULL, total INTEGER NOT NULL,
  since_us INTEGER,
  PRIMARY KEY (server, kind, user, host)) WITHOUT ROWID;

-- What became of accounts: it happened after since_us (NULL: at some time) and not after noticed_us.
CREATE TABLE account_change (
  id INTEGER PRIMARY KEY, server NOT NULL, user NOT NULL, host NOT NULL,
  kind TEXT NOT NULL, since_us INTEGER, noticed_us INTEGER NOT NULL, was NOT NULL, became NOT NULL);
CREATE INDEX account_change_account ON account_change (server, user, host);

-- Accounts that are to stay though nobody uses them. server, grouping: only there; NULL: everywhere.
-- until_us NULL: for good.
CREATE TABLE keep (
  id INTEGER PRIMARY KEY, server, grouping TEXT, user NOT NULL, host NOT NULL, until_us INTEGER,
  owner TEXT NOT NULL, reason TEXT NOT NULL, author TEXT NOT NULL, at_us INTEGER NOT NULL);

-- What would be sent to servers. hash: SHA-256 of text. Only the state changes.
CREATE TABLE plan (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash BLOB NOT NULL,
  kind TEXT NOT NULL, author TEXT NOT NULL, made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,
  state TEXT NOT NULL, text TEXT NOT NULL);
CREATE TRIGGER plan_fixed BEFORE UPDATE OF number, id, hash, kind, author, made_us, expires_us, text ON plan
  BEGIN SELECT RAISE(ABORT, 'a plan does not change'); END;

-- The journal: what was about to be sent, noted before it was; and what came of it (of one deed more than
-- once only where it was unknown at first). Rows of both are numbered together (link), and each has a hash
-- over what it holds and over the hash of the one before (src/chain.rs).
CREATE TABLE deed (
  id INTEGER PRIMARY KEY, link INTEGER NOT NULL UNIQUE, plan TEXT, undo_of INTEGER,
  step INTEGER NOT NULL, server NOT NULL, user NOT NULL, host NOT NULL, kind TEXT NOT NULL,
  sql BLOB NOT NULL, undo BLOB NOT NULL, before TEXT NOT NULL, os_user TEXT NOT NULL,
  machine TEXT NOT NULL, ticket TEXT, begun_us INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE INDEX deed_plan ON deed (plan, step);
CREATE INDEX deed_undo_of ON deed (undo_of) WHERE undo_of IS NOT NULL;
CREATE TABLE deed_end (
  link INTEGER PRIMARY KEY, deed INTEGER NOT NULL, ended_us INTEGER NOT NULL, outcome TEXT NOT NULL,
  error_code INTEGER, detail TEXT NOT NULL, hash BLOB NOT NULL);
CREATE INDEX deed_end_deed ON deed_end (deed);
CREATE TRIGGER deed_once BEFORE INSERT ON deed
  WHEN EXISTS (SELECT 1 FROM deed WHERE id = NEW.id OR link = NEW.link)
  BEGIN SELECT RAISE(ABORT, 'the journal is only added to'); END;
CREATE TRIGGER deed_fixed BEFORE UPDATE ON deed
  BEGIN SELECT RAISE(ABORT, 'the journal is only added to'); END;
CREATE TRIGGER deed_kept BEFORE DELETE ON deed
  BEGIN SELECT RAISE(ABORT, 'the journal is only added to'); END;
CREATE TRIGGER deed_end_once BEFORE INSERT ON deed_end
  WHEN EXISTS (SELECT 1 FROM deed_end WHERE link = NEW.link)
  BEGIN SELECT RAISE(ABORT, 'the journal is only added to'); END;
CREATE TRIGGER deed_end_fixed BEFORE UPDATE ON deed_end
  BEGIN SELECT RAISE(ABORT, 'the journal is only added to'); END;
CREATE TRIGGER deed_end_kept BEFORE DELETE ON deed_end
  BEGIN SELECT RAISE(ABORT, 'the journal is only added to'); END;

-- What a user's schemas held together when it was looked at last on a day: `day` counts from 1970-01-01 UTC.
CREATE TABLE quota_usage (
  server, user, day INTEGER NOT NULL, at_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (server, day, user)
) WITHOUT ROWID;

-- What quotas have told of users and done about them: the highest step in per cent (0: none), looks above the hard
-- limit in succession, how and by which plan it is held back, and why it is not as it should be.
CREATE TABLE quota_state (
  server, user, warned INTEGER NOT NULL, warned_us INTEGER, exceeds INTEGER NOT NULL,
  policy TEXT, plan TEXT, since_us INTEGER, closed INTEGER NOT NULL, told TEXT NOT NULL,
  PRIMARY KEY (server, user)
) WITHOUT ROWID;

-- For conntracker's users: the newest login of each user and host over all servers, as local text where
-- its configuration is in use, else as UTC. The row mysql|localhost is the time of the last scan; that
-- account's own logins are in tally.
CREATE VIEW Accounts AS
  SELECT 'mysql' AS name, 'localhost' AS host, value AS last_seen
  FROM meta WHERE key = 'last_scan_text'
  UNION ALL
  SELECT user, host,
    coalesce(last_text, strftime('%Y-%m-%d %H:%M:%S+00:00', newest / 1000000, 'unixepoch'))
  FROM (
    SELECT user, host, last_text, max(last_us) AS newest FROM (
      SELECT user, host, last_text, last_us FROM tally WHERE error = 0 AND last_us IS NOT NULL
      UNION ALL
      SELECT user, host, last_text, last_us FROM unsettled WHERE count > 0)
    WHERE NOT (user = 'mysql' AND host = 'localhost')
    GROUP BY user, host);
