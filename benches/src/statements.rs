//! Statements as applications send them, escaped as the plugin writes them.

use crate::random::Random;

/// Lines of a log inside the text of a statement: a reader that looks for operations anywhere in
/// the bytes takes them for records. The plugin writes the line breaks as `\n`.
const FORGED: [&str; 3] = [
    r"\n20261103 07:18:43,db-prod-eu-01,root,10.9.8.7,77,0,CONNECT,mysql,,0\n",
    r"\n20261103 07:18:43,db-prod-eu-01,app_tenant_000,10.9.8.7,78,0,FAILED_CONNECT,,,1045\n",
    r"\n20261103 07:18:44,db-prod-eu-01,root,10.9.8.7,77,0,DISCONNECT,mysql,,0\n",
];

/// The length of the text that long statements are cut from: above the longest statement.
const STOCK_BYTES: usize = 1 << 19;

/// Draws statements.
pub(crate) struct Statements {
    stock: Vec<u8>,
    text: Vec<u8>,
}

impl Statements {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut stock = Vec::with_capacity(STOCK_BYTES + 256);
        while stock.len() < STOCK_BYTES {
            let row = format!(
                r#"(7,\'customer {}\',\'it\\\'s, "quoted", {} pieces\',{}.{:02},NULL),"#,
                random.below(1_000_000),
                random.below(90),
                random.below(1_000),
                random.below(100)
            );
            stock.extend_from_slice(row.as_bytes());
            if random.below(400) == 0 {
                let forged = FORGED[random.below(FORGED.len() as u64) as usize];
                stock.extend_from_slice(forged.as_bytes());
            }
        }
        Statements { stock, text: Vec::with_capacity(STOCK_BYTES) }
    }

    /// A statement and the table record before it. By number 6 of 7 are short; by bytes a third
    /// each are short, of 1 to 2 KB, and of 70 to 250 KB.
    pub(crate) fn draw(
        &mut self,
        random: &mut Random,
    ) -> (Option<(&'static str, &'static str)>, &[u8]) {
        self.text.clear();
        let kind = random.below(10_000);
        let table = match kind {
            0..24 => {
                self.long(random, 70_000, 250_000);
                ("WRITE", "order_lines")
            }
            24..1_400 => {
                self.long(random, 1_000, 2_000);
                ("WRITE", "order_lines")
            }
            1_400..1_500 => {
                let forged = FORGED[random.below(FORGED.len() as u64) as usize];
                self.push(&[r"INSERT INTO notes (text) VALUES (\'", forged, r"\')"]);
                ("WRITE", "notes")
            }
            1_500..4_000 => {
                let id = random.below(10_000_000).to_string();
                self.push(&[
                    r"UPDATE orders SET state = \'shipped\', changed = NOW() WHERE id = ",
                    &id,
                ]);
                ("WRITE", "orders")
            }
            _ => {
                let id = random.below(10_000_000).to_string();
                self.push(&[
                    "SELECT o.id, o.state, c.name FROM orders o JOIN customers c ON c.id = ",
                    r"o.customer_id WHERE o.state <> \'closed\' AND o.id = ",
                    &id,
                ]);
                ("READ", "orders")
            }
        };
        // One statement in eight touches no table that is logged.
        let table = if random.below(8) == 0 { None } else { Some(table) };
        (table, &self.text)
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.extend_from_slice(part.as_bytes());
        }
    }

    fn long(&mut self, random: &mut Random, bytes_min: u64, bytes_max: u64) {
        self.push(&["INSERT INTO order_lines VALUES "]);
        let bytes = random.between(bytes_min, bytes_max) as usize;
        // Starts and ends at a comma between rows: an escape is never cut in two.
        let from = random.below((STOCK_BYTES - bytes - 4_096) as u64) as usize;
        let from = next_row(&self.stock, from);
        let to = next_row(&self.stock, from + bytes);
        self.text.extend_from_slice(&self.stock[from..to - 1]);
    }
}

/// Where the first row at or after `at` begins.
fn next_row(stock: &[u8], at: usize) -> usize {
    let mark = b",NULL),";
    stock[at..]
        .windows(mark.len())
        .position(|window| window == mark)
        .map_or(stock.len(), |found| at + found + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_hold_no_raw_line_break_and_no_open_quote() {
        let mut random = Random::new(3);
        let mut statements = Statements::new(&mut random);
        let (mut long, mut forged) = (0, 0);
        for _ in 0..20_000 {
            let (_, text) = statements.draw(&mut random);
            assert!(!text.contains(&b'\n'));
            let mut escaped = false;
            for &byte in text {
                assert!(escaped || byte != b'\'', "an unescaped quote");
                escaped = byte == b'\\' && !escaped;
            }
            assert!(!escaped, "a backslash at the end");
            long += u32::from(text.len() > 69_000);
            forged += u32::from(text.windows(9).any(|window| window == b",CONNECT,"));
        }
        assert!(long > 20 && forged > 50, "{long} long, {forged} with forged lines");
    }
}
