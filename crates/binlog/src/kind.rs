//! The kinds of events, by the number in their header.
//!
//! MySQL's numbers stand in `libs/mysql/binlog/event/binlog_event.h` (`enum Log_event_type`),
//! MariaDB's in `sql/log_event.h`; below 36 they agree, MariaDB's own begin at 160.

use std::fmt;

/// The number in an event's header that says how its body is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(
    /// The number itself.
    pub u8,
);

macro_rules! kinds {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        #[allow(missing_docs)]
        impl EventType {
            $(pub const $name: EventType = EventType($number);)*

            /// The name that the servers' own tools use; `Unknown` where there is none.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "Unknown",
                }
            }
        }
    };
}

kinds! {
    START_V3 = 1, "Start_v3";
    QUERY = 2, "Query";
    STOP = 3, "Stop";
    ROTATE = 4, "Rotate";
    INTVAR = 5, "Intvar";
    LOAD = 6, "Load";
    SLAVE = 7, "Slave";
    CREATE_FILE = 8, "Create_file";
    APPEND_BLOCK = 9, "Append_block";
    EXEC_LOAD = 10, "Exec_load";
    DELETE_FILE = 11, "Delete_file";
    NEW_LOAD = 12, "New_load";
    RAND = 13, "RAND";
    USER_VAR = 14, "User var";
    FORMAT_DESCRIPTION = 15, "Format_desc";
    XID = 16, "Xid";
    BEGIN_LOAD_QUERY = 17, "Begin_load_query";
    EXECUTE_LOAD_QUERY = 18, "Execute_load_query";
    TABLE_MAP = 19, "Table_map";
    PRE_GA_WRITE_ROWS = 20, "Write_rows_event_old";
    PRE_GA_UPDATE_ROWS = 21, "Update_rows_event_old";
    PRE_GA_DELETE_ROWS = 22, "Delete_rows_event_old";
    WRITE_ROWS_V1 = 23, "Write_rows_v1";
    UPDATE_ROWS_V1 = 24, "Update_rows_v1";
    DELETE_ROWS_V1 = 25, "Delete_rows_v1";
    INCIDENT = 26, "Incident";
    HEARTBEAT = 27, "Heartbeat";
    IGNORABLE = 28, "Ignorable";
    ROWS_QUERY = 29, "Rows_query";
    WRITE_ROWS = 30, "Write_rows";
    UPDATE_ROWS = 31, "Update_rows";
    DELETE_ROWS = 32, "Delete_rows";
    GTID_MYSQL = 33, "Gtid";
    ANONYMOUS_GTID = 34, "Anonymous_Gtid";
    PREVIOUS_GTIDS = 35, "Previous_gtids";
    TRANSACTION_CONTEXT = 36, "Transaction_context";
    VIEW_CHANGE = 37, "View_change";
    XA_PREPARE = 38, "XA_prepare";
    PARTIAL_UPDATE_ROWS = 39, "Update_rows_partial";
    TRANSACTION_PAYLOAD = 40, "Transaction_payload";
    HEARTBEAT_V2 = 41, "Heartbeat";
    GTID_TAGGED = 42, "Gtid_tagged";
    ANNOTATE_ROWS = 160, "Annotate_rows";
    BINLOG_CHECKPOINT = 161, "Binlog_checkpoint";
    GTID_MARIADB = 162, "Gtid";
    GTID_LIST = 163, "Gtid_list";
    START_ENCRYPTION = 164, "Start_encryption";
    QUERY_COMPRESSED = 165, "Query_compressed";
    WRITE_ROWS_COMPRESSED_V1 = 166, "Write_rows_compressed_v1";
    UPDATE_ROWS_COMPRESSED_V1 = 167, "Update_rows_compressed_v1";
    DELETE_ROWS_COMPRESSED_V1 = 168, "Delete_rows_compressed_v1";
    WRITE_ROWS_COMPRESSED = 169, "Write_rows_compressed";
    UPDATE_ROWS_COMPRESSED = 170, "Update_rows_compressed";
    DELETE_ROWS_COMPRESSED = 171, "Delete_rows_compressed";
    PARTIAL_ROW_DATA = 172, "Partial_row_data";
}

impl EventType {
    /// Whether the event holds rows, of any version, compressed or not.
    #[inline]
    pub fn is_rows(self) -> bool {
        matches!(self.0, 23..=25 | 30..=32 | 39 | 166..=171)
    }

    /// Whether the event begins a group of events that commit together.
    #[inline]
    pub fn is_gtid(self) -> bool {
        matches!(self.0, 33 | 34 | 42 | 162)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "Unknown" => write!(f, "unknown ({})", self.0),
            name => f.write_str(name),
        }
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
