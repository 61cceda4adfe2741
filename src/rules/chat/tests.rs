use super::*;

fn present(users: &[&str]) -> Vec<Present> {
    let present = |user: &&str| Present {
        user: (*user).to_owned(),
        leads: false,
    };
    users.iter().map(present).collect()
}

fn wanted(users: &[&str]) -> Vec<WantedMember> {
    let wanted = |user: &&str| WantedMember {
        user: (*user).to_owned(),
        show_history: true,
        leads: false,
    };
    users.iter().map(wanted).collect()
}

fn seen(users: &[(&str, MemberStanding)]) -> Vec<SeenMember> {
    let seen = |(user, standing): &(&str, MemberStanding)| SeenMember {
        user: (*user).to_owned(),
        standing: *standing,
    };
    users.iter().map(seen).collect()
}

#[test]
fn who_is_missing_left_and_who_is_new_came() {
    let seen = seen(&[
        ("ann", MemberStanding::Wanted),
        ("bob", MemberStanding::Wanted),
        ("guest", MemberStanding::Guest),
        ("out", MemberStanding::Leaving),
    ]);
    let there = present(&["bot", "ann", "eve"]);
    let compared = Compared {
        bot: "bot",
        seen: &seen,
        there: &there,
    };
    assert_eq!(
        compared.comings(),
        Comings {
            left: vec!["bob".to_owned(), "guest".to_owned()],
            came: vec!["eve".to_owned()],
        }
    );
}

#[test]
fn the_difference_is_closed_and_guests_and_the_bot_are_left_alone() {
    let seen = seen(&[
        ("ann", MemberStanding::Wanted),
        ("bob", MemberStanding::Wanted),
        ("guest", MemberStanding::Guest),
        ("out", MemberStanding::Leaving),
    ]);
    let there = present(&["bot", "ann", "bob", "guest", "out", "eve"]);
    let compared = Compared {
        bot: "bot",
        seen: &seen,
        there: &there,
    };
    let orders = compared.orders(&wanted(&["ann", "new", "bot"]));
    assert_eq!(orders.remove, ["bob", "out"]);
    assert_eq!(orders.add, wanted(&["new"]));
    assert_eq!(
        orders.seen,
        super::tests::seen(&[
            ("ann", MemberStanding::Wanted),
            ("bob", MemberStanding::Leaving),
            ("guest", MemberStanding::Guest),
            ("out", MemberStanding::Leaving),
            ("eve", MemberStanding::Guest),
        ])
    );
}

#[test]
fn one_who_is_put_out_and_wanted_again_stays() {
    let seen = seen(&[("ann", MemberStanding::Leaving)]);
    let there = present(&["ann"]);
    let compared = Compared {
        bot: "bot",
        seen: &seen,
        there: &there,
    };
    let orders = compared.orders(&wanted(&["ann"]));
    assert_eq!((orders.add.len(), orders.remove.len()), (0, 0));
    assert_eq!(orders.seen[0].standing, MemberStanding::Wanted);
}

#[test]
fn the_responsible_leads_once() {
    let mut there = present(&["ann", "bob"]);
    let mut wanted = wanted(&["ann", "bob"]);
    wanted[1].leads = true;
    let lead = |there: &[Present]| {
        let compared = Compared {
            bot: "bot",
            seen: &[],
            there,
        };
        compared.orders(&wanted).lead
    };
    assert_eq!(lead(&there).as_deref(), Some("bob"));
    assert_eq!(lead(&there[..1]).as_deref(), Some("bob"));
    there[1].leads = true;
    assert_eq!(lead(&there), None);
}

#[test]
fn words_read_back() {
    for standing in [
        MemberStanding::Wanted,
        MemberStanding::Guest,
        MemberStanding::Stranger,
        MemberStanding::Leaving,
    ] {
        assert_eq!(MemberStanding::from_word(standing.word()), standing);
    }
}
