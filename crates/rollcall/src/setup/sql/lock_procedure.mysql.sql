-- Names reach the procedures as they are, in whatever character set the session has that made them.
SET NAMES utf8mb4
//
-- The procedures keep this mode for good: QUOTE() writes backslashes, which another mode would not read as such.
SET SESSION sql_mode = ''
//
-- The schema of the procedures. Nobody but administrators may have rights on it.
CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
//
-- Accounts that nothing is ever done to: one row each; an empty host stands for all hosts of that user.
CREATE TABLE IF NOT EXISTS {schema}.protected (
  user varchar(128) NOT NULL,
  host varchar(255) NOT NULL DEFAULT '',
  reason varchar(255) NOT NULL DEFAULT '',
  PRIMARY KEY (user, host)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
//
-- What the procedures did: only what they have locked can be unlocked or dropped by them.
CREATE TABLE IF NOT EXISTS {schema}.deeds (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  deed varchar(8) NOT NULL,
  user varchar(128) NOT NULL,
  host varchar(255) NOT NULL,
  session_user varchar(400) NOT NULL,
  KEY account (user, host, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
//
-- The procedures run with the rights of this account. Nobody can log in with it: it is locked, and no password fits.
CREATE USER IF NOT EXISTS {definer} {nobody}
//
-- In case it was there already and somebody has unlocked it.
ALTER USER {definer} {nobody}
//
-- CREATE USER locks, unlocks and drops any account without SYSTEM_USER: that is why the procedures look at the target first. CONNECTION_ADMIN ends sessions. The server itself refuses to drop what views, routines, triggers or events run as.
GRANT CREATE USER, CONNECTION_ADMIN ON *.* TO {definer}
//
-- Who is locked, who administers, who replicates; no password hash.
GRANT SELECT (User, Host, account_locked, Super_priv, Create_user_priv, Repl_slave_priv)
  ON mysql.user TO {definer}
//
-- Who is a role, and what is had by roles.
GRANT SELECT ON mysql.role_edges TO {definer}
//
-- Who has rights that are not in mysql.user.
GRANT SELECT ON mysql.global_grants TO {definer}
//
-- Whom others log in as.
GRANT SELECT ON mysql.proxies_priv TO {definer}
//
-- Whose sessions there are.
GRANT SELECT ON performance_schema.threads TO {definer}
//
-- The list of protected accounts.
GRANT SELECT ON {schema}.protected TO {definer}
//
-- The list of deeds.
GRANT SELECT, INSERT ON {schema}.deeds TO {definer}
//
-- Who defines a procedure also needs the right to run it.
GRANT EXECUTE ON {schema_pattern}.* TO {definer}
//
-- Finds the account, and refuses what is protected. Not to be called from outside.
DROP PROCEDURE IF EXISTS {schema}.check_target
//
-- As said above.
CREATE DEFINER = {definer} PROCEDURE {schema}.check_target(
  IN p_deed VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  IN p_user VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  IN p_host VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  OUT o_user VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  OUT o_host VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
READS SQL DATA SQL SECURITY DEFINER
BEGIN
  DECLARE v_locked VARCHAR(10) DEFAULT NULL;
  DECLARE v_last VARCHAR(8) DEFAULT NULL;
  DECLARE v_why VARCHAR(100) DEFAULT 'it cannot be checked';
  SELECT User, Host, account_locked INTO o_user, o_host, v_locked
    FROM mysql.user WHERE User = p_user AND Host = p_host COLLATE utf8mb4_general_ci;
  SET v_last = (SELECT deed FROM {schema}.deeds WHERE user = o_user AND host = o_host
    AND deed <> 'kill' ORDER BY id DESC LIMIT 1);
  SET v_why = CASE
    WHEN o_user IS NULL OR o_host IS NULL OR v_locked IS NULL THEN 'no such account'
    WHEN EXISTS (SELECT 1 FROM mysql.role_edges
      WHERE FROM_USER = o_user AND FROM_HOST = o_host COLLATE utf8mb4_general_ci) THEN 'a role'
    WHEN o_user = 'root' THEN 'root'
    WHEN o_user IN ({system}) THEN 'a system account'
    WHEN o_user = {agent_user} THEN 'rollcall itself'
    WHEN o_user = {definer_user} THEN 'the definer of these procedures'
    WHEN EXISTS (SELECT 1 FROM {schema}.protected WHERE user = o_user
      AND (host = '' OR LOWER(host) = LOWER(o_host))) THEN 'listed as protected'
    WHEN EXISTS (SELECT 1 FROM mysql.proxies_priv WHERE Proxied_user = o_user
      AND Proxied_host = o_host COLLATE utf8mb4_general_ci) THEN 'others log in as it'
    WHEN EXISTS (WITH RECURSIVE granted (user, host) AS (
        SELECT User, Host FROM mysql.user
          WHERE User = o_user AND Host = o_host COLLATE utf8mb4_general_ci
        UNION SELECT e.FROM_USER, e.FROM_HOST FROM mysql.role_edges e JOIN granted g
          ON e.TO_USER = g.user AND e.TO_HOST = g.host)
      SELECT 1 FROM granted g
        LEFT JOIN mysql.user u ON u.User = g.user AND u.Host = g.host
        LEFT JOIN mysql.global_grants p ON p.USER = g.user AND p.HOST = g.host
          AND p.PRIV IN ('GROUP_REPLICATION_STREAM', 'REPLICATION_APPLIER')
        WHERE u.Repl_slave_priv = 'Y' OR p.PRIV IS NOT NULL) THEN 'a replication account'
    WHEN p_deed IN ('lock', 'drop') AND NOT EXISTS (
      SELECT 1 FROM mysql.user u WHERE u.Create_user_priv = 'Y' AND u.account_locked = 'N'
          AND NOT (u.User = o_user AND u.Host = o_host COLLATE utf8mb4_general_ci)
          AND u.User NOT IN ({system}) AND u.User <> {definer_user})
      THEN 'no other administrator could log in'
    WHEN p_deed = 'lock' AND v_locked <> 'N' THEN 'locked already'
    WHEN p_deed IN ('unlock', 'drop') AND v_locked <> 'Y' THEN 'not locked'
    WHEN p_deed IN ('unlock', 'drop') AND COALESCE(v_last, '') <> 'lock'
      THEN 'not locked by rollcall'
    WHEN p_deed = 'drop' AND NOT EXISTS (SELECT 1 FROM {schema}.deeds
      WHERE id = (SELECT MAX(id) FROM {schema}.deeds
        WHERE user = o_user AND host = o_host AND deed <> 'kill')
        AND at <= SYSDATE(6) - INTERVAL {cool_down_days} DAY) THEN 'not locked for long enough'
    WHEN p_deed IN ('lock', 'unlock', 'drop') THEN NULL
    ELSE 'no such deed' END;
  IF v_why IS NOT NULL THEN
    SET v_why = CONCAT('rollcall refuses: ', v_why);
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = v_why;
  END IF;
END
//
-- Does one deed to one account, which it names itself. Not to be called from outside.
DROP PROCEDURE IF EXISTS {schema}.do_deed
//
-- As said above.
CREATE DEFINER = {definer} PROCEDURE {schema}.do_deed(
  IN p_deed VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  IN p_user VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  IN p_host VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
  DECLARE v_user VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL;
  DECLARE v_host VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL;
  DECLARE v_account VARCHAR(1600) CHARACTER SET utf8mb4 DEFAULT NULL;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    DO RELEASE_LOCK({lock_name});
    RESIGNAL;
  END;
  -- Neither an old snapshot nor a clock of the caller's counts, nor how far it lets roles be followed.
  COMMIT;
  BEGIN
    DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
    SET SESSION timestamp = DEFAULT;
  END;
  SET SESSION cte_max_recursion_depth = 1000;
  IF COALESCE(GET_LOCK({lock_name}, 10), 0) <> 1 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'rollcall refuses: another deed is under way';
  END IF;
  CALL {schema}.check_target(p_deed, p_user, p_host, v_user, v_host);
  SET v_account = CONCAT(QUOTE(v_user), '@', QUOTE(v_host));
  SET @rollcall_deed = CASE p_deed
    WHEN 'lock' THEN CONCAT('ALTER USER ', v_account, ' ACCOUNT LOCK')
    WHEN 'unlock' THEN CONCAT('ALTER USER ', v_account, ' ACCOUNT UNLOCK')
    WHEN 'drop' THEN CONCAT('DROP USER ', v_account) END;
  PREPARE rollcall_deed FROM @rollcall_deed;
  EXECUTE rollcall_deed;
  DEALLOCATE PREPARE rollcall_deed;
  SET @rollcall_deed = NULL;
  INSERT INTO {schema}.deeds (at, deed, user, host, session_user)
    VALUES (SYSDATE(6), p_deed, v_user, v_host, SESSION_USER());
  COMMIT;
  DO RELEASE_LOCK({lock_name});
END
//
-- Locks one account.
DROP PROCEDURE IF EXISTS {schema}.lock_account
//
-- As said above.
CREATE DEFINER = {definer} PROCEDURE {schema}.lock_account(
  IN p_user VARCHAR(512) CHARACTER SET utf8mb4, IN p_host VARCHAR(512) CHARACTER SET utf8mb4)
MODIFIES SQL DATA SQL SECURITY DEFINER
CALL {schema}.do_deed('lock', p_user, p_host)
//
-- Unlocks one account that lock_account has locked.
DROP PROCEDURE IF EXISTS {schema}.unlock_account
//
-- As said above.
CREATE DEFINER = {definer} PROCEDURE {schema}.unlock_account(
  IN p_user VARCHAR(512) CHARACTER SET utf8mb4, IN p_host VARCHAR(512) CHARACTER SET utf8mb4)
MODIFIES SQL DATA SQL SECURITY DEFINER
CALL {schema}.do_deed('unlock', p_user, p_host)
//
-- Drops one account that lock_account has locked {cool_down_days} days ago or earlier, and that runs nothing.
DROP PROCEDURE IF EXISTS {schema}.drop_account
//
-- As said above.
CREATE DEFINER = {definer} PROCEDURE {schema}.drop_account(
  IN p_user VARCHAR(512) CHARACTER SET utf8mb4, IN p_host VARCHAR(512) CHARACTER SET utf8mb4)
MODIFIES SQL DATA SQL SECURITY DEFINER
CALL {schema}.do_deed('drop', p_user, p_host)
//
-- Ends one session, if it is still that user's and no account of that name is protected.
DROP PROCEDURE IF EXISTS {schema}.kill_session
//
-- As said above.
CREATE DEFINER = {definer} PROCEDURE {schema}.kill_session(
  IN p_id BIGINT UNSIGNED, IN p_user VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
  DECLARE v_user VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL;
  DECLARE v_command VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL;
  DECLARE v_why VARCHAR(100) DEFAULT 'it cannot be checked';
  COMMIT;
  SET SESSION cte_max_recursion_depth = 1000;
  SELECT PROCESSLIST_USER, PROCESSLIST_COMMAND INTO v_user, v_command
    FROM performance_schema.threads WHERE PROCESSLIST_ID = p_id;
  SET v_why = CASE
    WHEN v_user IS NULL OR v_command IS NULL THEN 'no such session'
    WHEN COALESCE(v_user <> p_user, TRUE) THEN 'the session is another user''s'
    WHEN v_user = 'root' OR v_user IN ({system}, {agent_user}, {definer_user})
      OR v_command IN ('Binlog Dump', 'Binlog Dump GTID', 'Daemon')
      THEN 'a session of the server or its administrators'
    WHEN EXISTS (SELECT 1 FROM {schema}.protected WHERE user = v_user) THEN 'listed as protected'
    WHEN NOT EXISTS (SELECT 1 FROM mysql.user WHERE User = v_user) THEN 'no account has that name'
    WHEN EXISTS (WITH RECURSIVE granted (user, host) AS (
        SELECT User, Host FROM mysql.user WHERE User = v_user
        UNION SELECT e.FROM_USER, e.FROM_HOST FROM mysql.role_edges e JOIN granted g
          ON e.TO_USER = g.user AND e.TO_HOST = g.host)
      SELECT 1 FROM granted g
        LEFT JOIN mysql.user u ON u.User = g.user AND u.Host = g.host
        LEFT JOIN mysql.global_grants p ON p.USER = g.user AND p.HOST = g.host
          AND p.PRIV IN ('GROUP_REPLICATION_STREAM', 'REPLICATION_APPLIER', 'SYSTEM_USER')
        WHERE 'Y' IN (u.Repl_slave_priv, u.Super_priv, u.Create_user_priv)
          OR p.PRIV IS NOT NULL) THEN 'an administrator or a replica'
    ELSE NULL END;
  IF v_why IS NOT NULL THEN
    SET v_why = CONCAT('rollcall refuses: ', v_why);
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = v_why;
  END IF;
  KILL CONNECTION p_id;
  INSERT INTO {schema}.deeds (at, deed, user, host, session_user)
    VALUES (SYSDATE(6), 'kill', v_user, '', SESSION_USER());
  COMMIT;
END
//
-- All that rollcall's own account gets.
GRANT EXECUTE ON PROCEDURE {schema}.lock_account TO {agent}
//
-- The same for taking it back.
GRANT EXECUTE ON PROCEDURE {schema}.unlock_account TO {agent}
//
-- The same for dropping.
GRANT EXECUTE ON PROCEDURE {schema}.drop_account TO {agent}
//
-- The same for ending sessions.
GRANT EXECUTE ON PROCEDURE {schema}.kill_session TO {agent}
//
