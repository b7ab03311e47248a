//! Who labelled an issue, who changed it since, and who may.

use bzzz_actors::ports::forge::Edit;

use super::*;

fn events(events: &[(&str, &str, Option<&str>)]) -> String {
    let event = |(event, label, actor): &(&str, &str, Option<&str>)| json!({ "event": event, "label": { "name": label }, "actor": actor.map(|login| json!({ "login": login })) });
    json!(events.iter().map(event).collect::<Vec<_>>()).to_string()
}

#[tokio::test]
async fn who_set_a_label_is_the_last_who_did_since_it_was_removed() {
    let next = ("link", "<https://forge.example/next>; rel=\"next\"");
    let server = Canned::serve(vec![
        Answer::with_headers(
            200,
            &[next],
            &events(&[
                ("labeled", "bzzz-task", Some("ann")),
                ("renamed", "", Some("bob")),
                ("closed", "", None),
            ]),
        ),
        Answer::json(
            200,
            &events(&[
                ("unlabeled", "bzzz-task", Some("bob")),
                ("labeled", "Bzzz-Task", Some("eve")),
                ("labeled", "bug", Some("ann")),
                ("unlabeled", "bug", Some("ann")),
                ("renamed", "", Some("eve")),
                ("renamed", "", None),
            ]),
        ),
        Answer::json(
            200,
            &events(&[("labeled", "bzzz-task", Some("ann")), ("unlabeled", "bzzz-task", None)]),
        ),
        Answer::json(200, &events(&[("labeled", "bzzz-task", None)])),
        Answer::json(200, "[]"),
        Answer::json(403, "{\"message\":\"Resource not accessible by personal access token\"}"),
    ])
    .await;
    let forge = forge(&server);
    for setter in [Some("eve"), None, None, None] {
        let found = forge.label_setting(&task(), "bzzz-task").await.unwrap();
        assert_eq!(found.as_ref().map(|setting| setting.by.as_str()), setter);
        let renamed_by: Vec<_> = found.into_iter().flat_map(|setting| setting.renamed_by).collect();
        let expected: &[Option<String>] = if setter.is_some() { &[Some("eve".into()), None] } else { &[] };
        assert_eq!(renamed_by, expected, "since then alone");
    }
    let error = forge.label_setting(&task(), "bzzz-task").await.unwrap_err();
    assert!(error.to_string().contains("issues: read"), "{error}");
}

#[tokio::test]
async fn who_changed_an_issue_last_is_asked_of_the_other_interface() {
    let of = |issue: &str| Answer::json(200, &format!(r#"{{"data":{{"repository":{{"issue":{issue}}}}}}}"#));
    let server = Canned::serve(vec![
        of(r#"{"lastEditedAt":"2026-01-02T03:04:05Z","editor":{"login":"eve"}}"#),
        of(r#"{"lastEditedAt":"2026-01-02T03:04:05Z","editor":null}"#),
        of(r#"{"lastEditedAt":null,"editor":null}"#),
        of("null"),
        Answer::json(200, r#"{"data":null,"errors":[{"type":"FORBIDDEN","message":"no\u001b[1m way"}]}"#),
        Answer::json(200, r#"{"errors":[{"type":"RATE_LIMITED","message":"later"}]}"#),
    ])
    .await;
    // As a GitHub Enterprise has it.
    let forge = forge_at(&format!("{}/api/v3", server.url), "t0ken", None);
    let at = "2026-01-02T03:04:05Z".to_owned();
    let edit = |by: Option<&str>| Some(Edit { by: by.map(str::to_owned), at: at.clone() });
    for expected in [edit(Some("eve")), edit(None), None] {
        assert_eq!(forge.last_edit(&task()).await.unwrap(), expected);
    }
    assert!(matches!(forge.last_edit(&task()).await, Err(ForgeError::NotFound { .. })));
    let error = forge.last_edit(&task()).await.unwrap_err().to_string();
    assert!(error.contains("ask who changed acme/rocket#7 last") && error.ends_with("no way"), "{error}");
    assert!(matches!(forge.last_edit(&task()).await, Err(ForgeError::RateLimited { .. })));
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /api/graphql");
    let variables = json!({ "owner": "acme", "name": "rocket", "number": 7 });
    assert_eq!(seen[0].json()["variables"], variables);
}

#[tokio::test]
async fn who_is_unknown_to_the_repository_may_not_triage_and_a_weak_token_is_told() {
    let server = Canned::serve(vec![
        Answer::json(200, r#"{"permission":"read","role_name":"triage","user":{"login":"ann"}}"#),
        Answer::json(404, r#"{"message":"github-actions[bot] is not a user"}"#),
        Answer::json(403, r#"{"message":"Must have push access to view collaborator permission."}"#),
    ])
    .await;
    let forge = forge(&server);
    assert!(forge.may_triage(&repo(), "ann").await.unwrap());
    assert!(!forge.may_triage(&repo(), "github-actions[bot]").await.unwrap());
    let error = forge.may_triage(&repo(), "../eve").await.unwrap_err().to_string();
    assert!(error.contains("metadata: read") && error.contains("Must have push access"), "{error}");
    assert!(
        server.seen()[2].line.contains("/collaborators/..%2Feve/permission"),
        "{}",
        server.seen()[2].line
    );
}
