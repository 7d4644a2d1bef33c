//! `trace` on recorded binary logs: the real binary in a fresh folder.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/binlog").join(name)
}

/// A folder with a configuration of its own and the logs under names that servers give.
fn fresh() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rollcall.toml"), "").unwrap();
    for (name, copy) in [
        ("mariadb-10.11-transactions.binlog", "maria.000001"),
        ("mariadb-11.8-transactions.binlog", "maria11.000001"),
        ("mysql-9.7-transactions.binlog", "mysql.000001"),
        ("mysql-9.7-types-full.binlog", "full.000001"),
        ("mysql-9.7-compressed.binlog", "packed.000001"),
    ] {
        fs::copy(fixture(name), folder.path().join(copy)).unwrap();
    }
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("TZ", "UTC")
        .args(["--config", "rollcall.toml", "trace"])
        .args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn records(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = run(folder, &[arguments, &["-o", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_transaction_is_told_with_what_is_known_of_it() {
    let folder = fresh();
    let found = records(folder.path(), &["mysql.000001", "--table", "bl_transactions.t"]);
    let first = found.iter().find(|it| it["tables"][0].is_object()).unwrap();
    assert_eq!(first["server_id"], 1);
    assert_eq!(first["file"], "mysql.000001");
    assert_eq!(first["evidence"], "query-thread");
    assert_eq!(first["login_evidence"], "none");
    assert_eq!((&first["candidates"], &first["exact"]), (&1.into(), &true.into()));
    assert!(first["thread_id"].is_string() && first["xid"].is_string(), "{first}");
    assert_eq!(first["tables"][0]["table"], "bl_transactions.t");
    let fields: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 20);
}

#[test]
fn filters_choose_transactions() {
    let folder = fresh();
    let count = |arguments: &[&str]| records(folder.path(), arguments).len();
    let all = count(&["maria.000001"]);
    assert!(all > 10);
    for (arguments, some) in [
        (&["--table", "bl_transactions.t"][..], true),
        (&["--table", "T"], true),
        (&["--table", "other.t"], false),
        (&["--kind", "delete"], true),
        (&["--kind", "ddl"], true),
        (&["--kind", "ddl", "--table", "bl_transactions.u"], true),
        (&["--statement", "truncate"], true),
        (&["--statement", "no such text"], false),
        (&["--thread", "1"], false),
        (&["--since", "2099-01-01"], false),
        (&["--until", "2000-01-01"], false),
        (&["--gtid", "9-9-9"], false),
        (&["--user", "root"], false),
        (&["--where", "@1=1"], true),
        (&["--where", "@1=1", "--where", "@2=99"], false),
        (&["--where", "@1=12345"], false),
    ] {
        let found = count(&[&["maria.000001"], arguments].concat());
        assert_eq!(found > 0, some, "{arguments:?}: {found}");
        assert!(found < all, "{arguments:?}");
    }
    assert_eq!(count(&["maria.000001", "--limit", "3"]), 3);
    let first = &records(folder.path(), &["maria.000001", "--limit", "1"])[0];
    let gtid = first["gtid"].as_str().unwrap();
    assert_eq!(
        &records(folder.path(), &["maria.000001", "--gtid", gtid])[..],
        std::slice::from_ref(first)
    );
    let time = first["time"].as_str().unwrap();
    assert_eq!(count(&["maria.000001", "--since", time]), all);
    assert_eq!(count(&["maria.000001", "--until", time]), 0);
}

#[test]
fn rows_have_their_values_and_names() {
    let folder = fresh();
    let chosen = ["full.000001", "--rows", "--table", "ints", "--where", "id=1000"];
    let found = records(folder.path(), &chosen);
    let rows: Vec<&Value> = found.iter().filter(|it| it.get("kind").is_some()).collect();
    let kinds: Vec<&str> = rows.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["insert", "update"]);
    assert_eq!(rows[0]["before"], Value::Null);
    assert_eq!(rows[0]["after"]["t"], Value::Null);
    let after = &rows[1]["after"];
    assert_eq!(
        (&after["t"], &after["tu"], &after["i"]),
        (&(-128).into(), &255.into(), &(-2147483648_i64).into())
    );
    // Readers of JSON would round these.
    assert_eq!(
        (&after["b"], &after["bu"]),
        (&"-9223372036854775808".into(), &"18446744073709551615".into())
    );
    assert_eq!(rows[1]["before"]["id"], 1000);
    // Every row of every type can be told, of all families.
    for log in ["full.000001", "maria.000001", "maria11.000001", "mysql.000001", "packed.000001"] {
        let found = records(folder.path(), &[log, "--rows"]);
        let sum = |it: &Value| {
            let tables = it["tables"].as_array().into_iter().flatten();
            let count = |it: &Value, kind: &str| it[kind].as_u64().unwrap();
            tables
                .map(|it| count(it, "inserts") + count(it, "updates") + count(it, "deletes"))
                .sum::<u64>()
        };
        let counted: u64 = found.iter().map(sum).sum();
        let told = found.iter().filter(|it| it.get("kind").is_some()).count();
        assert_eq!(counted, told as u64, "{log}");
        assert!(told > 0, "{log}");
        assert!(!found.iter().any(|it| it.to_string().contains("cannot be read")), "{log}");
    }
}

#[test]
fn folders_indexes_compressed_files_and_pipes_are_the_same() {
    let folder = fresh();
    let path = folder.path();
    let content = |arguments: &[&str], strip: &str| {
        let found = records(path, arguments);
        found
            .into_iter()
            .map(|mut it| {
                if it.get("file").is_some() {
                    it["file"] = strip.into();
                }
                it
            })
            .collect::<Vec<_>>()
    };
    let plain = content(&["mysql.000001", "--rows"], "");
    assert!(plain.len() > 20);
    let bytes = fs::read(path.join("mysql.000001")).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&bytes).unwrap();
    fs::write(path.join("packed.gz"), packer.finish().unwrap()).unwrap();
    fs::write(path.join("packed.zst"), zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
    fs::create_dir(path.join("logs")).unwrap();
    fs::copy(path.join("mysql.000001"), path.join("logs/binlog.000001")).unwrap();
    fs::write(path.join("logs/binlog.index"), "./binlog.000001\n").unwrap();
    for argument in ["packed.gz", "packed.zst", "logs", "logs/binlog.index", "logs/binlog.0*"] {
        assert_eq!(content(&[argument, "--rows"], ""), plain, "{argument}");
    }
    let mut child = command(path, &["-", "--rows", "-o", "json"])
        .env("TMPDIR", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let piped = text(&output.stdout);
    assert_eq!(piped.lines().count(), plain.len());
    assert!(piped.lines().next().unwrap().contains("\"file\":\"-\""));
    assert!(
        !fs::read_dir(path)
            .unwrap()
            .any(|it| { it.unwrap().file_name().to_string_lossy().starts_with("rollcall-trace") })
    );
}

#[test]
fn an_audit_log_is_joined() {
    let folder = fresh();
    let path = folder.path();
    let found = records(path, &["maria.000001"]);
    let unknown = found.iter().find(|it| it["evidence"] == "unknown").unwrap();
    let (time, xid) = (unknown["time"].as_str().unwrap(), unknown["xid"].as_str().unwrap());
    let stamp = time.replace(['-', 'Z'], "").replace('T', " ");
    let log = format!(
        "{stamp},db1,app,10.0.0.7,41,0,CONNECT,shop,,0\n\
         {stamp},db1,app,10.0.0.7,41,{xid},WRITE,bl_transactions,t,\n\
         {stamp},db1,app,10.0.0.7,41,{xid},QUERY,bl_transactions,'INSERT INTO t VALUES (1, 1)',0\n"
    );
    fs::write(path.join("server_audit.log"), &log).unwrap();
    let chosen = ["maria.000001", "--audit-log", "server_audit.log", "--user", "app"];
    let joined = records(path, &chosen);
    assert_eq!(joined.len(), 1, "{joined:?}");
    assert_eq!(joined[0]["position"], unknown["position"]);
    assert_eq!(joined[0]["evidence"], "xid-query-id");
    assert_eq!(joined[0]["login_evidence"], "audit");
    assert_eq!(
        (&joined[0]["thread_id"], &joined[0]["client_host"]),
        (&"41".into(), &"10.0.0.7".into())
    );

    // In another zone the record is not of this run, or not of this transaction.
    let shifted = [&chosen[..], &["--time-zone", "+05:00"]].concat();
    assert!(records(path, &shifted).iter().all(|it| it["exact"] == false));

    let output = run(path, &["--audit-log", "server_audit.log", "--table", "bl_transactions.t"]);
    let table = text(&output.stdout).replace(&time.replace('T', " ").replace('Z', ""), "TIME");
    assert_snapshot!(table.trim_end(), @r#"
    TIME                 USE    TABLE              WHO                CONNECTION  STATEMENT
    TIME  write  bl_transactions.t  app from 10.0.0.7          41  INSERT INTO t VALUES (1, 1)
    1 query, times in UTC
    "#);
}

#[test]
fn an_empty_answer_says_what_cannot_be_in_it() {
    let folder = fresh();
    let output = run(folder.path(), &["maria.000001", "--table", "no.such"]);
    assert!(output.status.success());
    assert_snapshot!(text(&output.stdout), @r#"
    None of 21 transactions fits, from 2026-11-28 16:00:14 to 2026-11-28 16:00:14 (UTC).
    Cannot appear here: what was changed with sql_log_bin=0; what binlog_do_db, binlog_ignore_db and the like leave out; statements outside these files, which may be rotated away; temporary tables in row format.
    MariaDB logs no rows that foreign keys change (CASCADE, SET NULL): trace the parent table as well.
    "#);
}

#[test]
fn what_cannot_be_read_is_named_with_the_way_round() {
    let folder = fresh();
    let path = folder.path();
    fs::copy(fixture("encrypted.binlog"), path.join("secret.000001")).unwrap();
    fs::write(path.join("mysql-secret.000001"), b"\xfdbin\x01\x02\x03\x04").unwrap();
    fs::write(path.join("text.000001"), "no binlog\n").unwrap();
    for (name, words) in [
        ("secret.000001", "encrypted (MariaDB encrypt_binlog): read it through the server"),
        ("mysql-secret.000001", "encrypted (MySQL binlog_encryption): read it through the server"),
        ("text.000001", "this is no binary log"),
        ("none.000001", "no such file"),
    ] {
        let output = run(path, &[name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(text(&output.stderr).contains(words), "{name}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{name}");
        // Others are traced all the same.
        let output = run(path, &[name, "mysql.000001"]);
        assert_eq!(output.status.code(), Some(3), "{name}");
        assert!(text(&output.stdout).lines().count() > 10);
    }
    let line = "20261128 16:00:14,db1,app,10.0.0.7,41,0,CONNECT,shop,,0\n";
    fs::write(path.join("server_audit.log"), line).unwrap();
    for arguments in [
        &[][..],
        &["--table", "a.b"],
        &["--server", "nobody"],
        &["--through-server"],
        &["--follow", "-"],
        &["--follow", "maria.000001", "--until", "2026-11-28 16:00"],
        &["--follow", "maria.000001", "--undo-sql"],
        &["--through-server", "maria.000001"],
        &["--group", "shop", "maria.000001"],
        &["maria.000001", "--where", "x"],
        &["maria.000001", "--rows", "-o", "csv"],
        &["maria.000001", "mysql.000001", "--audit-log", "server_audit.log"],
        &["maria.000001", "--audit-log", "x", "--dialect", "no"],
        &["maria.000001", "--time-zone", "Nowhere"],
    ] {
        let output = run(path, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_damaged_event_is_told_and_passed_over() {
    let folder = fresh();
    let path = folder.path();
    let all = records(path, &["mysql.000001"]).len();
    let mut bytes = fs::read(path.join("mysql.000001")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(path.join("damaged.000001"), &bytes).unwrap();
    let output = run(path, &["damaged.000001", "-o", "json"]);
    assert!(text(&output.stderr).contains("checksum"), "{}", text(&output.stderr));
    let found = text(&output.stdout).lines().count();
    assert!(found + 2 >= all, "{found} of {all}");
    fs::write(path.join("cut.000001"), &bytes[..middle - 5]).unwrap();
    let output = run(path, &["cut.000001", "-o", "json"]);
    assert!(text(&output.stderr).contains("ends amid the event"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).lines().count() > 3);
}

#[test]
fn sums_add_up() {
    let folder = fresh();
    let stats = records(folder.path(), &["mysql.000001", "--stats"]);
    let all = records(folder.path(), &["mysql.000001"]);
    let by = |name: &str| stats.iter().filter(|it| it["by"] == name).collect::<Vec<_>>();
    assert_eq!(by("all")[0]["transactions"], all.len());
    for name in ["user", "hour"] {
        let sum: u64 = by(name).iter().map(|it| it["transactions"].as_u64().unwrap()).sum();
        assert_eq!(sum, all.len() as u64, "{name}");
    }
    let rows = |name: &str| by(name).iter().map(|it| it["inserts"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(rows("all"), rows("table"));
    let largest = stats.iter().filter(|it| it["list"] == "largest").collect::<Vec<_>>();
    assert_eq!(largest.len(), 10);
    assert!(largest.is_sorted_by_key(|it| std::cmp::Reverse(it["bytes"].as_u64())));
}

#[test]
fn csv_has_one_heading_and_a_field_for_tables() {
    let folder = fresh();
    let output = run(folder.path(), &["mysql.000001", "-o", "csv"]);
    let out = text(&output.stdout);
    assert!(out.starts_with("server_id,file,position,gtid,time,xid,thread_id,user,"));
    assert_eq!(out.matches("server_id,").count(), 1);
    let empty = run(folder.path(), &["mysql.000001", "-o", "csv", "--thread", "1"]);
    assert!(out.starts_with(text(&empty.stdout).trim_end()), "{}", text(&empty.stdout));
    assert!(out.contains("\"[{\"\"table\"\":\"\"bl_transactions.t\"\""), "{out}");
}

#[test]
fn an_audit_log_alone_tells_who_used_a_table() {
    let folder = fresh();
    let path = folder.path();
    let log = "\
20260314 09:26:50,db1,app,10.0.0.7,41,0,CONNECT,shop,,0
20260314 09:26:53,db1,app,10.0.0.7,41,7,READ,shop,orders,
20260314 09:26:53,db1,app,10.0.0.7,41,7,WRITE,shop,old_orders,
20260314 09:26:53,db1,app,10.0.0.7,41,7,QUERY,shop,'INSERT INTO old_orders SELECT * FROM orders',0
20260314 09:26:54,db1,dba,localhost,42,8,RENAME,shop,orders|archive.orders_2025,
20260314 09:26:54,db1,dba,localhost,42,8,QUERY,shop,'RENAME TABLE orders TO archive.orders_2025',0
20260314 09:26:55,db1,dba,localhost,42,9,CREATE,shop,orders,
20260314 09:26:55,db1,dba,localhost,42,9,QUERY,shop,'CREATE TABLE orders (a INT)',0
20260314 09:26:56,db1,dba,localhost,42,10,ALTER,shop,orders,
20260314 09:26:56,db1,dba,localhost,42,10,QUERY,shop,'ALTER TABLE orders ADD b INT COMMENT \\'password x\\'',1060
20260314 09:26:57,db1,dba,localhost,42,11,DROP,shop,orders,
";
    fs::write(path.join("server_audit.log"), log).unwrap();
    let output = run(path, &["--audit-log", "server_audit.log", "--table", "shop.orders"]);
    assert_snapshot!(text(&output.stdout), @r#"
    TIME                 USE     TABLE                              WHO                 CONNECTION  STATEMENT
    2026-03-14 09:26:53  read    shop.orders                        app from 10.0.0.7           41  INSERT INTO old_orders SELECT * FROM orders
    2026-03-14 09:26:54  rename  shop.orders → archive.orders_2025  dba from localhost          42  RENAME TABLE orders TO archive.orders_2025
    2026-03-14 09:26:55  create  shop.orders                        dba from localhost          42  CREATE TABLE orders (a INT)
    2026-03-14 09:26:56  alter   shop.orders                        dba from localhost          42  ALTER TABLE orders ADD b INT COMMENT \'password***** (error 1060)
    2026-03-14 09:26:57  drop    shop.orders                        dba from localhost          42  –
    5 queries, times in UTC
    "#);
    let records =
        records(path, &["--audit-log", "server_audit.log", "--table", "archive.orders_2025"]);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["uses"], "rename");
    assert_eq!(records[0]["table"], "shop.orders");
    assert_eq!(records[0]["renamed_to"], "archive.orders_2025");
    assert_eq!((&records[0]["thread_id"], &records[0]["query_id"]), (&"42".into(), &"8".into()));
    let output = run(path, &["--audit-log", "server_audit.log", "--table", "shop.none"]);
    assert!(text(&output.stdout).starts_with("No query of the audit log used it."));
}

#[test]
fn statements_are_for_clients_and_say_what_they_lack() {
    let folder = fresh();
    let path = folder.path();
    let output = run(path, &["full.000001", "--sql", "--table", "ints", "--kind", "insert"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let sql = text(&output.stdout);
    assert!(sql.starts_with("SET NAMES utf8mb4;\n"), "{sql}");
    assert!(sql.contains("\nBEGIN;\nINSERT INTO `bl_types_full`.`ints` (`id`, "), "{sql}");
    assert_eq!(sql.matches("BEGIN;\n").count(), sql.matches("COMMIT;\n").count());
    // An undo has the same rows the other way round.
    let output = run(path, &["full.000001", "--undo-sql", "--table", "ints", "--kind", "insert"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let id = |line: &str, before: &str| {
        let rest = line.split_once(before).unwrap().1;
        rest.split([',', ' ']).next().unwrap().to_owned()
    };
    let made = |line: &&str| line.starts_with("INSERT");
    let made: Vec<String> = sql.lines().filter(made).map(|line| id(line, "VALUES (")).collect();
    let undo = text(&output.stdout);
    let back = |line: &&str| line.starts_with("DELETE");
    let mut back: Vec<String> = undo.lines().filter(back).map(|it| id(it, "`id` = ")).collect();
    back.reverse();
    assert!(made.len() > 5);
    assert_eq!(made, back);

    // The same through a pipe, which is kept in a file.
    let mut child = command(path, &["-", "--undo-sql", "--table", "ints", "--kind", "insert"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let log = fs::read(path.join("full.000001")).unwrap();
    child.stdin.take().unwrap().write_all(&log).unwrap();
    let piped = text(&child.wait_with_output().unwrap().stdout);
    assert_eq!(piped.replace(", -:", ", full.000001:"), undo);

    // Logs that do not name columns make no statements; nor does what is not of rows.
    for (arguments, words) in [
        (["maria.000001", "--sql"], "the log does not name the columns"),
        (["maria.000001", "--undo-sql"], "statements (TRUNCATE)"),
        (["mysql.000001", "--undo-sql"], "rolled back"),
    ] {
        let output = run(path, &arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let named = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(named.contains(words), "{arguments:?}: {named}");
    }
    for arguments in [
        &["maria.000001", "--sql", "-o", "json"][..],
        &["maria.000001", "--sql", "--rows"],
        &["maria.000001", "--sql", "--undo-sql"],
        &["--sql", "--audit-log", "x", "--table", "a.b"],
    ] {
        assert_eq!(run(path, arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_tools_text_is_theirs_byte_for_byte() {
    let folder = fresh();
    for name in ["mariadb-10.11-transactions", "mariadb-11.8-types", "mysql-9.7-compressed"] {
        let log = fixture(&format!("{name}.binlog"));
        let theirs = fs::read(fixture(&format!("{name}.text"))).unwrap();
        let output = run(folder.path(), &[log.to_str().unwrap(), "--style", "mysqlbinlog"]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        assert!(output.stdout == theirs, "{name}");
        let packed = folder.path().join("log.000001.gz");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&fs::read(&log).unwrap()).unwrap();
        fs::write(&packed, gzip.finish().unwrap()).unwrap();
        let output = run(folder.path(), &["log.000001.gz", "--style", "mysqlbinlog"]);
        assert!(output.stdout == theirs, "{name}, packed");
    }
    // One transaction: its events alone, behind the format description.
    let first = &records(folder.path(), &["mysql.000001", "--limit", "2"])[1];
    let gtid = first["gtid"].as_str().unwrap();
    let output = run(folder.path(), &["mysql.000001", "--style", "mysqlbinlog", "--gtid", gtid]);
    let text = text(&output.stdout);
    assert_eq!(text.matches("SET @@SESSION.GTID_NEXT= '").count(), 2, "{text}");
    assert!(text.contains(gtid) && text.ends_with("PSEUDO_SLAVE_MODE=0*/;\n"), "{text}");
}
