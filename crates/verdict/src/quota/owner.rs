//! Whose schema it is.
//!
//! ```text
//! webshop                 quota.schemas names its owner
//! common, lib_%           quota.shared: counts for nobody
//! t4711, t4711_blog       patterns %u and %u_%: the user t4711
//! archive                 by grants: the only user who may create or insert there
//! ```
//!
//! The first of these that fits decides, in this order; of patterns the first that fits a user that exists, and
//! for that pattern the longest user name. Names are compared byte by byte.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use crate::matching::glob::{Case, Token, matches, tokens};

/// A pattern of schema names: `%` stands for any bytes, also none, `%u` for a user's name (`%s`, as a later version
/// of mysql_monitor_daemon wrote it, for the same); all else is itself, `_` too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    before: Vec<Token>,
    /// What stands behind the user's name; `None`: it has no user in it.
    behind: Option<Vec<Token>>,
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternFault {
    /// `%u` stands in it more than once.
    TwoUsers,
    /// It needs `%u`.
    NoUser,
    /// It may not have `%u`.
    User,
    /// It is empty.
    Empty,
}

impl fmt::Display for PatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PatternFault::TwoUsers => "%u stands in it twice: write it once",
            PatternFault::NoUser => "it does not say where the user's name stands: write %u there",
            PatternFault::User => "%u has no meaning here: write names, with % for any text",
            PatternFault::Empty => "an empty pattern: take it out",
        })
    }
}

impl Pattern {
    /// A pattern of owners: `%u`, `%u_%`.
    ///
    /// # Errors
    /// [`PatternFault`] where it does not hold the user once.
    pub fn owner(text: &str) -> Result<Pattern, PatternFault> {
        let pattern = Pattern::parse(text)?;
        pattern.behind.is_some().then_some(pattern).ok_or(PatternFault::NoUser)
    }

    /// A pattern of schemas: `common`, `lib_%`.
    ///
    /// # Errors
    /// [`PatternFault`] where it holds a user.
    pub fn schema(text: &str) -> Result<Pattern, PatternFault> {
        let pattern = Pattern::parse(text)?;
        pattern.behind.is_none().then_some(pattern).ok_or(PatternFault::User)
    }

    fn parse(text: &str) -> Result<Pattern, PatternFault> {
        if text.is_empty() {
            return Err(PatternFault::Empty);
        }
        let mut pattern = Pattern { before: Vec::new(), behind: None };
        let mut rest = text.as_bytes();
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            let part = pattern.behind.as_mut().unwrap_or(&mut pattern.before);
            match (byte, rest.first()) {
                (b'%', Some(b'u' | b's')) => {
                    if pattern.behind.replace(Vec::new()).is_some() {
                        return Err(PatternFault::TwoUsers);
                    }
                    rest = &rest[1..];
                }
                (b'%', _) => part.push(Token::Many),
                _ => part.push(Token::Literal(byte)),
            }
        }
        Ok(pattern)
    }

    /// Does the schema fit, whoever it is of?
    fn fits(&self, schema: &[u8]) -> bool {
        self.behind.is_none() && matches(&self.before, schema, Case::Kept)
    }

    /// The longest name of a user for which the schema fits.
    fn user<'a>(&self, schema: &'a [u8], users: &HashSet<Vec<u8>>) -> Option<&'a [u8]> {
        let behind = self.behind.as_ref()?;
        let mut longest: Option<&[u8]> = None;
        for begin in 0..schema.len() {
            if !matches(&self.before, &schema[..begin], Case::Kept) {
                continue;
            }
            let shortest = longest.map_or(1, |name| name.len() + 1);
            let name = (begin + shortest..=schema.len())
                .rev()
                .filter(|&end| matches(behind, &schema[end..], Case::Kept))
                .map(|end| &schema[begin..end])
                .find(|name| users.contains(*name));
            longest = name.or(longest);
        }
        longest
    }
}

/// That a user may create or insert in schemas of a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaGrant {
    /// The user name.
    pub user: Vec<u8>,
    /// As the server stores it: `_` and `%` are wild, a backslash takes that from them.
    pub schema: Vec<u8>,
}

/// How owners are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRules {
    /// Owners by schema.
    pub schemas: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Schemas that count for nobody: [`Pattern::schema`].
    pub shared: Vec<Pattern>,
    /// [`Pattern::owner`].
    pub patterns: Vec<Pattern>,
    /// Whether grants tell where nothing else does.
    pub by_grants: bool,
}

impl Default for OwnerRules {
    /// `%u`, then `%u_%`.
    fn default() -> OwnerRules {
        let pattern = |text| Pattern::owner(text).expect("the default patterns are patterns");
        OwnerRules {
            schemas: BTreeMap::new(),
            shared: Vec::new(),
            patterns: vec![pattern("%u"), pattern("%u_%")],
            by_grants: false,
        }
    }
}

/// Who a schema counts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This user.
    User(Vec<u8>),
    /// Nobody, as a rule says so.
    Shared,
    /// Nobody: no rule fits.
    Nobody,
    /// Nobody: grants name these users.
    Several(Vec<Vec<u8>>),
}

/// [`OwnerRules`] with the users and grants of one server.
#[derive(Debug)]
pub struct Owners<'a> {
    rules: &'a OwnerRules,
    users: HashSet<Vec<u8>>,
    /// Grants by what stands in them before the first wildcard.
    grants: HashMap<Vec<u8>, Vec<Granted<'a>>>,
}

/// A pattern of schemas, and who may write to them.
type Granted<'a> = (Vec<Token>, &'a [u8]);

impl<'a> Owners<'a> {
    /// Rules for a server that has these users.
    pub fn new(
        rules: &'a OwnerRules,
        users: impl IntoIterator<Item = Vec<u8>>,
        grants: &'a [SchemaGrant],
    ) -> Owners<'a> {
        let mut by_beginning: HashMap<Vec<u8>, Vec<_>> = HashMap::new();
        for grant in grants.iter().filter(|_| rules.by_grants) {
            let tokens = tokens(&grant.schema);
            let literal = |token: &Token| match token {
                Token::Literal(byte) => Some(*byte),
                Token::One | Token::Many => None,
            };
            let beginning = tokens.iter().map_while(literal).collect();
            by_beginning.entry(beginning).or_default().push((tokens, grant.user.as_slice()));
        }
        // An anonymous account is no user whose name could stand in a schema's.
        let users = users.into_iter().filter(|user| !user.is_empty()).collect();
        Owners { rules, users, grants: by_beginning }
    }

    /// Whose schema it is.
    pub fn of(&self, schema: &[u8]) -> Owner {
        if let Some(user) = self.rules.schemas.get(schema) {
            return Owner::User(user.clone());
        }
        if self.rules.shared.iter().any(|pattern| pattern.fits(schema)) {
            return Owner::Shared;
        }
        let mut named = self.rules.patterns.iter().filter_map(|it| it.user(schema, &self.users));
        if let Some(user) = named.next() {
            return Owner::User(user.to_vec());
        }
        let beginnings = (0..=schema.len()).filter_map(|end| self.grants.get(&schema[..end]));
        let granted = beginnings.flatten().filter(|(it, _)| matches(it, schema, Case::Kept));
        let users: BTreeSet<&[u8]> =
            granted.map(|(_, user)| *user).filter(|user| self.users.contains(*user)).collect();
        let mut users: Vec<Vec<u8>> = users.into_iter().map(<[u8]>::to_vec).collect();
        match users.len() {
            0 => Owner::Nobody,
            1 => Owner::User(users.remove(0)),
            _ => Owner::Several(users),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Owner {
        Owner::User(name.as_bytes().to_vec())
    }

    fn names(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    fn rules(patterns: &[&str]) -> OwnerRules {
        let patterns = patterns.iter().map(|it| Pattern::owner(it).unwrap()).collect();
        OwnerRules { patterns, ..OwnerRules::default() }
    }

    fn check(rules: &OwnerRules, users: &[&str], expected: &[(&str, Owner)]) {
        let owners = Owners::new(rules, names(users), &[]);
        for (schema, owner) in expected {
            assert_eq!(owners.of(schema.as_bytes()), *owner, "{schema}");
        }
    }

    #[test]
    fn names_of_users_in_names_of_schemas() {
        let users = ["t4711", "a", "a_b", "\u{fc}", ""];
        check(
            &OwnerRules::default(),
            &users,
            &[
                ("t4711", user("t4711")),
                ("t4711_", user("t4711")),
                ("t4711_blog", user("t4711")),
                ("t47110", Owner::Nobody),
                ("T4711", Owner::Nobody),
                ("a_x", user("a")),
                // The longest name: a_b, not a.
                ("a_b_x", user("a_b")),
                // But %u stands before %u_%, and there is no user a_bc.
                ("a_bc", user("a")),
                ("\u{fc}_1", user("\u{fc}")),
                ("_x", Owner::Nobody),
                ("", Owner::Nobody),
            ],
        );
    }

    #[test]
    fn the_first_pattern_that_fits_decides() {
        let both = rules(&["db_%u", "%_%u", "%s_logs", "%x%u!%"]);
        check(
            &both,
            &["a", "x_a", "logs"],
            &[
                ("db_a", user("a")),
                ("db_x_a", user("x_a")),
                ("z_a", user("a")),
                ("z_x_a", user("x_a")),
                ("a_logs", user("logs")),
                ("a", Owner::Nobody),
                ("zxa!z", user("a")),
            ],
        );
    }

    #[test]
    fn a_map_stands_before_rules_and_shared_ones_before_patterns() {
        let rules = OwnerRules {
            schemas: BTreeMap::from([(b"a_x".to_vec(), b"b".to_vec())]),
            shared: vec![Pattern::schema("a_%").unwrap(), Pattern::schema("common").unwrap()],
            ..OwnerRules::default()
        };
        check(
            &rules,
            &["a", "common"],
            &[
                // The map may name whom it likes.
                ("a_x", user("b")),
                ("a_y", Owner::Shared),
                ("common", Owner::Shared),
                ("common_", user("common")),
                ("a", user("a")),
            ],
        );
    }

    #[test]
    fn grants_tell_where_nothing_else_does() {
        let grant = |user: &str, schema: &str| SchemaGrant {
            user: user.as_bytes().to_vec(),
            schema: schema.as_bytes().to_vec(),
        };
        let grants = [
            grant("a", "shop"),
            grant("a", r"st\_1"),
            grant("b", "wild_"),
            grant("b", "shop%"),
            grant("gone", "old"),
            grant("c", "%"),
        ];
        let rules = OwnerRules { by_grants: true, ..rules(&["%u"]) };
        let owners = Owners::new(&rules, names(&["a", "b"]), &grants);
        for (schema, owner) in [
            ("shop", Owner::Several(names(&["a", "b"]))),
            ("shop2", user("b")),
            ("st_1", user("a")),
            ("stx1", Owner::Nobody),
            ("wild1", user("b")),
            ("wild12", Owner::Nobody),
            // Its user is no user of the server any more.
            ("old", Owner::Nobody),
            ("b", user("b")),
        ] {
            assert_eq!(owners.of(schema.as_bytes()), owner, "{schema}");
        }
        let without = OwnerRules { by_grants: false, ..rules.clone() };
        assert_eq!(Owners::new(&without, names(&["a"]), &grants).of(b"st_1"), Owner::Nobody);
    }

    #[test]
    fn patterns_that_cannot_be_meant() {
        assert_eq!(Pattern::owner("%u_%u"), Err(PatternFault::TwoUsers));
        assert_eq!(Pattern::owner("x_%"), Err(PatternFault::NoUser));
        assert_eq!(Pattern::owner(""), Err(PatternFault::Empty));
        assert_eq!(Pattern::schema("%u"), Err(PatternFault::User));
    }
}
