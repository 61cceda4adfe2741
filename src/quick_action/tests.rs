use super::*;
#[test]
fn throwaway_samples() {
    let cases: Vec<serde_json::Value> = serde_json::from_str(
        &std::fs::read_to_string("/work/shared/samples/quick_actions.json").unwrap(),
    )
    .unwrap();
    let (mut plain, mut red) = (0, 0);
    for c in &cases {
        let input = c["input"].as_str().unwrap().replace('\r', "");
        if c["keep_actions"] == true {
            continue;
        }
        if c["mode"] == "redact" {
            red += 1;
            let got = redact(&input, |w| {
                [
                    "reopen",
                    "open",
                    "assign",
                    "labels",
                    "power",
                    "substitution",
                    "shrug",
                ]
                .contains(&w)
            });
            assert_eq!(got, c["content"].as_str().unwrap(), "{}", c["name"]);
            continue;
        }
        plain += 1;
        let mut known = vec![
            "reopen",
            "open",
            "assign",
            "labels",
            "power",
            "substitution",
            "shrug",
        ];
        if c["only"].is_array() {
            known = vec!["open", "reopen", "labels"];
        }
        let m = extract::extract(&input, &['/'], |l| {
            spelling::native(l)
                .filter(|n| known.contains(&n.name.to_lowercase().as_str()))
                .map(|n| (n.name.to_lowercase(), n.argument.to_owned()))
        });
        let rest = extract::rewrite(
            &input,
            m.iter().map(|f| {
                let nl = if input[f.range.clone()].ends_with('\n') {
                    "\n"
                } else {
                    ""
                };
                (
                    f.range.clone(),
                    match f.value.0.as_str() {
                        "substitution" => format!("foo{nl}"),
                        "shrug" => format!("{} SHRUG{nl}", f.value.1),
                        _ => String::new(),
                    },
                )
            }),
        );
        let got: Vec<Vec<String>> = m
            .iter()
            .map(|f| {
                if f.value.1.trim().is_empty() {
                    vec![f.value.0.clone()]
                } else {
                    vec![f.value.0.clone(), f.value.1.clone()]
                }
            })
            .collect();
        let want: Vec<Vec<String>> = serde_json::from_value(c["commands"].clone()).unwrap();
        assert_eq!(got, want, "{}", c["name"]);
        assert_eq!(rest, c["content"].as_str().unwrap(), "{}", c["name"]);
    }
    println!("{plain} {red}");
    assert_eq!(red, 5);
    assert_eq!(plain, 35);
}
