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

impl Sandbox {
    /// Builds the demo's world in an empty tracker; the bot's account gets `bot_token`.
    ///
    /// # Errors
    /// Fails only when the tracker refuses its own people, as with a pace set before.
    pub fn seed_demo(&self, bot_token: &str) -> Result<Demo, Refusal> {
        let person = |username: &str, name: &str| {
            self.create_user(NewUser {
                username: username.to_owned(),
                name: name.to_owned(),
                ..NewUser::default()
            })
        };
        let gus = person("gus", "Guest Gus");
        let rita = person("rita", "Reporter Rita");
        let dan = person("dan", "Developer Dan");
        let mona = person("mona", "Maintainer Mona");
        let stranger = person("sam", "Stranger Sam");
        let liaison = self.create_user(NewUser {
            username: "liaison".to_owned(),
            name: "Liaison".to_owned(),
            bot: true,
            token: Some(bot_token.to_owned()),
            ..NewUser::default()
        });
        let group = |parent, path: &str, name: &str, visibility| {
            self.create_group(NewGroup {
                id: None,
                parent,
                path: path.to_owned(),
                name: name.to_owned(),
                visibility,
            })
        };
        let acme = group(None, "acme", "Acme", Visibility::Public);
        let support = group(Some(acme), "support", "Support", Visibility::Private);
        let project = |group, path: &str, name: &str, visibility| {
            self.create_project(NewProject {
                id: None,
                group,
                path: path.to_owned(),
                name: name.to_owned(),
                visibility,
            })
        };
        let desk = project(support, "desk", "Desk", Visibility::Private);
        let website = project(acme, "website", "Website", Visibility::Public);
        for (user, level) in [
            (gus, Level::Guest),
            (rita, Level::Reporter),
            (dan, Level::Developer),
            (mona, Level::Maintainer),
            (liaison, Level::Maintainer),
        ] {
            self.set_member(Place::Group(acme), user, level);
        }
        let issue = |project, author, title: &str, description: &str, confidential| {
            self.create_issue(NewIssue {
                project,
                author,
                title: title.to_owned(),
                description: description.to_owned(),
                confidential,
                ..NewIssue::default()
            })
        };
        let order = issue(
            desk,
            rita,
            "Order 20417: two of five chairs arrived damaged",
            "The customer sent photos of two chairs with **broken armrests**.\n\n- Delivery was on Tuesday\n- \
             The carrier noted no damage\n\nWho talks to the warehouse?",
            false,
        );
        let incident = issue(
            desk,
            mona,
            "Customer received another customer's invoice",
            "Invoice `2026-0381` went to the wrong mailbox. Keep this between us until we know **why**.",
            true,
        );
        let form = issue(
            website,
            dan,
            "Contact form swallows messages with umlauts",
            "Steps to reproduce:\n\n1. Open the contact form\n2. Write a message with `ü` in it\n3. Press *Send*\n\n\
             The page says thank you, but no mail arrives.",
            false,
        );
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
