//! The world of the demo: a small company with a support desk, a website and people of every level.

use super::{
    Sandbox,
    model::{Level, NewGroup, NewIssue, NewProject, NewUser, Place, Visibility},
    notes::Refusal,
};

/// Ids of what [`Sandbox::seed_demo`] created.
#[derive(Debug, Clone, Copy)]
pub struct Demo {
    /// Root group `acme`.
    pub acme: u64,
    /// Subgroup `acme/support`.
    pub support: u64,
    /// Private project `acme/support/desk`.
    pub desk: u64,
    /// Public project `acme/website`.
    pub website: u64,
    /// Guest.
    pub gus: u64,
    /// Reporter.
    pub rita: u64,
    /// Developer.
    pub dan: u64,
    /// Maintainer.
    pub mona: u64,
    /// Account of the bot, Maintainer so that it may install webhooks.
    pub liaison: u64,
    /// No member of anything.
    pub stranger: u64,
    /// Issue of the private project.
    pub order: u64,
    /// Confidential issue of the private project.
    pub incident: u64,
    /// Issue of the public project.
    pub form: u64,
}

/// What an issue of the demo says.
#[derive(Clone, Copy)]
struct Words {
    title: &'static str,
    description: &'static str,
    confidential: bool,
}

const ORDER: Words = Words {
    title: "Order 20417: two of five chairs arrived damaged",
    description: "The customer sent photos of two chairs with **broken armrests**.\n\n\
        - Delivery was on Tuesday\n- The carrier noted no damage\n\nWho talks to the warehouse?",
    confidential: false,
};

const INCIDENT: Words = Words {
    title: "Customer received another customer's invoice",
    description: "Invoice `2026-0381` went to the wrong mailbox. Keep this between us until we know **why**.",
    confidential: true,
};

const FORM: Words = Words {
    title: "Contact form swallows messages with umlauts",
    description: "Steps to reproduce:\n\n1. Open the contact form\n2. Write a message with `ü` in it\n\
        3. Press *Send*\n\nThe page says thank you, but no mail arrives.",
    confidential: false,
};

impl Sandbox {
    /// Builds the demo's world in an empty tracker; the bot's account gets `bot_token`.
    ///
    /// # Errors
    /// Fails only when the tracker refuses its own people, as with a pace set before.
    pub fn seed_demo(&self, bot_token: &str) -> Result<Demo, Refusal> {
        let [gus, rita, dan, mona, stranger] = [
            ("gus", "Guest Gus"),
            ("rita", "Reporter Rita"),
            ("dan", "Developer Dan"),
            ("mona", "Maintainer Mona"),
            ("sam", "Stranger Sam"),
        ]
        .map(|(username, name)| self.seed_user(username, name, None));
        let liaison = self.seed_user("liaison", "Liaison", Some(bot_token));
        let acme = self.seed_group(None, "acme", "Acme", Visibility::Public);
        let support = self.seed_group(Some(acme), "support", "Support", Visibility::Private);
        let desk = self.seed_project(support, "desk", "Desk", Visibility::Private);
        let website = self.seed_project(acme, "website", "Website", Visibility::Public);
        for (user, level) in [
            (gus, Level::Guest),
            (rita, Level::Reporter),
            (dan, Level::Developer),
            (mona, Level::Maintainer),
            (liaison, Level::Maintainer),
        ] {
            self.set_member(Place::Group(acme), user, level);
        }
        let [order, incident, form] = [
            (desk, rita, ORDER),
            (desk, mona, INCIDENT),
            (website, dan, FORM),
        ]
        .map(|(project, author, words)| self.seed_issue(project, author, words));
        self.seed_comments([order, incident, form], [gus, rita, dan, mona])?;
        Ok(Demo {
            acme,
            support,
            desk,
            website,
            gus,
            rita,
            dan,
            mona,
            liaison,
            stranger,
            order,
            incident,
            form,
        })
    }

    /// Creates a person, or the bot where a token is given.
    fn seed_user(&self, username: &str, name: &str, bot_token: Option<&str>) -> u64 {
        self.create_user(NewUser {
            id: None,
            username: username.to_owned(),
            name: name.to_owned(),
            bot: bot_token.is_some(),
            token: bot_token.map(str::to_owned),
        })
    }

    fn seed_group(
        &self,
        parent: Option<u64>,
        path: &str,
        name: &str,
        visibility: Visibility,
    ) -> u64 {
        self.create_group(NewGroup {
            id: None,
            parent,
            path: path.to_owned(),
            name: name.to_owned(),
            visibility,
        })
    }

    fn seed_project(&self, group: u64, path: &str, name: &str, visibility: Visibility) -> u64 {
        self.create_project(NewProject {
            id: None,
            group,
            path: path.to_owned(),
            name: name.to_owned(),
            visibility,
        })
    }

    fn seed_issue(&self, project: u64, author: u64, words: Words) -> u64 {
        self.create_issue(NewIssue {
            project,
            author,
            title: words.title.to_owned(),
            description: words.description.to_owned(),
            confidential: words.confidential,
            ..NewIssue::default()
        })
    }

    fn seed_comments(
        &self,
        [order, incident, form]: [u64; 3],
        [gus, rita, dan, mona]: [u64; 4],
    ) -> Result<(), Refusal> {
        let question = self.comment(
            order,
            gus,
            "The customer called again and asks when the *replacement* arrives.",
        )?;
        self.reply(
            question,
            rita,
            "I have told her Thursday. Warehouse confirms.",
        )?;
        self.comment_internal(
            order,
            dan,
            "She is a key account: please no standard letter this time.",
        )?;
        self.comment(
            incident,
            mona,
            "The mailing job mixed two batches up. `job 7731`, stopped at 09:40.",
        )?;
        let found = self.comment(
            form,
            dan,
            "Reproduced: the mail gateway wants UTF-8 and we send\n\n```\ncharset=latin1\n```",
        )?;
        self.change(|state| state.award(found, rita, "thumbsup"))?;
        Ok(())
    }
}
