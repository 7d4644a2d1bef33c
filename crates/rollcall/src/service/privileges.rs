//! Whom a service that root starts becomes, for good.

use std::ffi::CString;

use nix::unistd::{
    Gid, Group, Uid, User, getegid, geteuid, getgid, getgroups, getuid, setgroups, setuid,
};

use crate::render::inert;

/// A user of the system, with its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// Looks up a user, and the group that takes the place of its own, where one is named.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn of(user: &str, group: Option<&str>) -> Result<Identity, String> {
        let name = inert(user);
        let found = User::from_name(user).map_err(|error| format!("user {name}: {error}"))?;
        let found = found.ok_or_else(|| {
            format!("there is no user {name}: useradd --system {name}, or name another in run_as")
        })?;
        let gid = match group {
            None => found.gid,
            Some(group) => {
                let shown = inert(group);
                let found = Group::from_name(group).map_err(|it| format!("group {shown}: {it}"))?;
                found.ok_or_else(|| format!("there is no group {shown}: name another one"))?.gid
            }
        };
        let groups =
            groups_of(&found, gid).map_err(|error| format!("groups of {name}: {error}"))?;
        Ok(Identity { name: found.name, uid: found.uid, gid, groups })
    }

    /// Becomes that user. Root stays root only where the user is root.
    ///
    /// # Errors
    /// A message; the process must not go on then.
    pub(crate) fn assume(&self) -> Result<(), String> {
        let failed = |error| format!("becoming the user {}: {error}", inert(&self.name));
        setgroups(&self.groups).map_err(failed)?;
        set_ids(self.uid, self.gid).map_err(failed)?;
        self.check()
    }

    /// Nothing of before must be left, nor a way back.
    fn check(&self) -> Result<(), String> {
        let is_user = getuid() == self.uid && geteuid() == self.uid;
        let is_group = getgid() == self.gid && getegid() == self.gid;
        let groups = getgroups().map_err(|error| error.to_string())?;
        let is_within = groups.iter().all(|it| *it == self.gid || self.groups.contains(it));
        let regained = !self.uid.is_root() && setuid(Uid::from_raw(0)).is_ok();
        match is_user && is_group && is_within && !regained {
            true => Ok(()),
            false => Err(format!(
                "the user {} still has rights of the user before: nothing is done",
                inert(&self.name)
            )),
        }
    }
}

fn groups_of(user: &User, gid: Gid) -> nix::Result<Vec<Gid>> {
    let name = CString::new(user.name.as_bytes()).map_err(|_| nix::errno::Errno::EINVAL)?;
    nix::unistd::getgrouplist(&name, gid)
}

/// Real, effective and saved ones.
fn set_ids(uid: Uid, gid: Gid) -> nix::Result<()> {
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_users_and_groups_are_named_with_a_remedy() {
        let error = Identity::of("no-such\u{1b}user", None).unwrap_err();
        assert!(error.contains("no-such\\x1buser") && error.contains("run_as"), "{error}");
        let error = Identity::of("root", Some("no-such-group")).unwrap_err();
        assert!(error.contains("no group no-such-group"), "{error}");
        assert!(Identity::of("root", None).unwrap().uid.is_root());
    }
}
