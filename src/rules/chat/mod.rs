//! A chat compared with the list: who came and who left since it was last looked at, and what has to be done so that those are in it who
//! should be.
//!
//! Everything here is about accounts, by their ids in the messenger. It looks at how things stand and never at what an event said, so that
//! lost, doubled and reordered events, and our own calls that come back as events, all end in the same state.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

/// Why somebody was in a chat when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberStanding {
    /// He is to be there.
    Wanted,
    /// Somebody added him in the messenger, and he stays without being an observer: whoever added him may not add observers.
    Guest,
    /// Somebody added him, and it is not known who he is. Once it is, he counts as one who came.
    Stranger,
    /// He was to be there and is no longer: he is being put out.
    Leaving,
}

impl MemberStanding {
    const WORDS: [(Self, &'static str); 4] = [
        (Self::Wanted, "wanted"),
        (Self::Guest, "guest"),
        (Self::Stranger, "stranger"),
        (Self::Leaving, "leaving"),
    ];

    /// Returns the word used in the database.
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(standing, _)| *standing == self)
            .map_or("guest", |(_, word)| word)
    }

    /// Returns what a word of the database means; an unknown one has nobody put out.
    pub fn from_word(word: &str) -> Self {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map_or(Self::Guest, |(standing, _)| *standing)
    }
}

/// Somebody who was in a chat when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenMember {
    /// His id in the messenger.
    pub user: String,
    /// Why he was there.
    pub standing: MemberStanding,
}

/// Somebody who is in a chat now, or asked to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// His id in the messenger.
    pub user: String,
    /// Whether he leads the chat.
    pub leads: bool,
}

/// Somebody who should be in a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedMember {
    /// His id in the messenger.
    pub user: String,
    /// Whether he may see what was written before he comes.
    pub show_history: bool,
    /// Whether he is to lead the chat: the responsible.
    pub leads: bool,
}

/// A chat as it is known and as it is.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// The bot's id in the messenger. It is nobody's business whether the bot is there.
    pub bot: &'a str,
    /// Who was in it when it was last looked at.
    pub seen: &'a [SeenMember],
    /// Who is in it now.
    pub there: &'a [Present],
}

/// What happened in a chat since it was last looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comings {
    /// Who was there and is not any more, without having been put out.
    pub left: Vec<String>,
    /// Who is there and was not.
    pub came: Vec<String>,
}

/// What has to be done so that a chat is as the list says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Who has to be put in.
    pub add: Vec<WantedMember>,
    /// Who has to be put out.
    pub remove: Vec<String>,
    /// Who has to be made leader.
    pub lead: Option<String>,
    /// Who is there now, and why. Remembered before anything is done, so that one who is being put out is not taken for one who came.
    pub seen: Vec<SeenMember>,
}

impl Compared<'_> {
    /// Returns who came and who left.
    pub fn comings(&self) -> Comings {
        let there: HashSet<&str> = self.there.iter().map(|one| &*one.user).collect();
        let seen: HashSet<&str> = self.seen.iter().map(|one| &*one.user).collect();
        let left = self
            .seen
            .iter()
            .filter(|one| one.standing != MemberStanding::Leaving && !there.contains(&*one.user))
            .map(|one| one.user.clone());
        let came = self
            .there
            .iter()
            .filter(|one| one.user != self.bot && !seen.contains(&*one.user))
            .map(|one| one.user.clone());
        Comings {
            left: left.collect(),
            came: came.collect(),
        }
    }

    /// Returns what closes the difference between a chat and those who should be in it, after what happened there was taken over.
    pub fn orders(&self, wanted: &[WantedMember]) -> Orders {
        let mut orders = Orders::default();
        for present in self.there.iter().filter(|one| one.user != self.bot) {
            let is_wanted = wanted.iter().find(|one| one.user == present.user);
            let before = self.seen.iter().find(|one| one.user == present.user);
            let standing = match (is_wanted, before.map(|one| one.standing)) {
                (Some(_), _) => MemberStanding::Wanted,
                (None, Some(MemberStanding::Wanted | MemberStanding::Leaving)) => {
                    MemberStanding::Leaving
                }
                (None, Some(MemberStanding::Guest | MemberStanding::Stranger) | None) => {
                    MemberStanding::Guest
                }
            };
            if standing == MemberStanding::Leaving {
                orders.remove.push(present.user.clone());
            }
            if is_wanted.is_some_and(|one| one.leads) && !present.leads {
                orders.lead = Some(present.user.clone());
            }
            orders.seen.push(SeenMember {
                user: present.user.clone(),
                standing,
            });
        }
        for one in wanted.iter().filter(|one| one.user != self.bot) {
            if self.there.iter().any(|present| present.user == one.user) {
                continue;
            }
            orders.add.push(one.clone());
            if one.leads {
                orders.lead = Some(one.user.clone());
            }
        }
        orders
    }
}
