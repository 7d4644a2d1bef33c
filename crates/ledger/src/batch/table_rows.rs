//! What one row of an access log table adds to a batch.

use super::Batch;
use crate::connections::Beginning;
use crate::pairs::{PEER_BYTES_MAX, Step};
use formats::{Doubt, Event, Reason, Standing};
use verdict::account::AccountName;

impl Batch {
    /// Counts a login that a row of a table tells of. Names cannot make rows, so none is judged by those around it,
    /// and it counts at once; and whoever may write rows chooses their connection ids, so these tell of no run.
    /// `number` is the row's, `account` the one that let the login in.
    pub fn row(&mut self, number: u64, event: &Event<'_>, account: Option<AccountName>) {
        if event.peer.joined().len() > PEER_BYTES_MAX {
            let doubt = Doubt { standing: Standing::Quarantined, reason: Reason::BadShape };
            return self.doubt_row(number, doubt, event.peer.joined());
        }
        let server = self.server(event.server);
        let pair = self.pairs.find_or_add(server, event.peer);
        self.begin_moment(server, event.time);
        self.servers[server as usize].records += 1;
        let at = self.moment.utc;
        self.pairs.steps([Step { pair, at, login: true, active: true }].into_iter());
        self.pairs.settle();
        if event.connection > 0 {
            self.connections.begin(server, event.connection, pair, 0, at, Beginning::Login);
        }
        if let Some(account) = account {
            self.named.add(pair, account, at);
        }
    }

    /// Notes a row that is no login, or none that can be trusted. `text` is what it holds.
    pub fn doubt_row(&mut self, number: u64, doubt: Doubt, text: &[u8]) {
        self.doubts.add(self.file, number, text.len(), doubt, text);
    }
}
