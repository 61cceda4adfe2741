//! From an empty folder to a webhook that works, without leaving the browser.

use std::time::Duration;

use tokio::time::Instant;

use super::{Browser, install, look_at};
use crate::{harness::PATIENCE, program::BOT_TOKEN, setup::from_nothing};

#[tokio::test]
async fn the_first_webhook_from_an_empty_installation() {
    let (site, address) = from_nothing().await;
    let browser = Browser::start().await;
    let mut found = Vec::new();
    browser.open(&site.url).await;
    browser.shows("Nothing is set up here yet").await;
    look_at(&browser, "setup-code", &mut found).await;
    browser.open(&address).await;
    browser.type_into("#url", site.tracker_url.as_str()).await;
    browser.type_into("#token", "glpat-mistyped").await;
    browser.click("form.form button.main").await;
    browser
        .shows("Access token is not accepted by GitLab")
        .await;
    look_at(&browser, "setup-tracker", &mut found).await;
    browser.type_into("#token", BOT_TOKEN).await;
    browser.click("form.form button.main").await;
    browser.shows("Choose a group").await;
    let guess = browser
        .run("return document.getElementById('public_url').value")
        .await;
    assert_eq!(
        guess.as_str().unwrap(),
        site.url.as_str().trim_end_matches('/')
    );
    look_at(&browser, "setup-group", &mut found).await;
    browser.type_into("#username", "mona").await;
    browser
        .type_into("#password", "correct horse battery")
        .await;
    browser.click("form.form button.main").await;
    browser.shows("Liaison is set up").await;
    look_at(&browser, "setup-done", &mut found).await;
    browser.click("main a.button").await;
    browser.click("main button").await;
    browser.shows("New webhook").await;
    install(&browser).await;
    let mut database = site.connect().await;
    let begun = Instant::now();
    let waits = "SELECT NOT EXISTS (SELECT FROM deliveries WHERE state <> 'pending')";
    while sqlx::query_scalar(waits)
        .fetch_one(&mut database)
        .await
        .unwrap()
    {
        assert!(begun.elapsed() < PATIENCE, "{}", site.trouble());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    browser.run("location.reload()").await;
    browser.click("tbody a").await;
    browser.shows("Comment").await;
    assert_eq!(found, [""; 0]);
    drop(browser);
    site.end().await;
}
