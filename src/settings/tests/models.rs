//! Several model servers, and other models for a part of the work.

use super::*;
use crate::settings::{ModelRole, Provider};

#[test]
fn servers_and_routes_are_read_with_their_keys_from_files() {
    let file = "[model]\nprovider = 'openai'\nkey_file = 'first'\njson_models = ['small']\n\
        [[model.server]]\nurl = 'http://gpu-2:11434'\nkey_file = 'second'\ncalls_in_flight = 4\n\
        [[model.server]]\nurl = 'http://gpu-3:11434'\nprovider = 'ollama'\n\
        [[model.route]]\nnames = ['big', 'small']\nrole = 'plan'\nlabel = 'docs'\n";
    let machine = Machine::with_file(file);
    for name in ["first", "second"] {
        machine.write(name, &format!("key of the {name}"), 0o600);
    }
    let loaded = machine.load();
    let warned: Vec<_> = loaded.warnings.iter().filter(|it| it.contains("in the clear")).collect();
    assert!(
        warned.len() == 1 && warned[0].contains("http://gpu-2:11434"),
        "only that key leaves: {warned:?}"
    );
    let model = loaded.settings.model;
    assert_eq!(model.key.unwrap().expose(), "key of the first");
    let [second, third] = model.server.as_slice() else { panic!("{:?}", model.server) };
    assert_eq!(second.key.as_ref().unwrap().expose(), "key of the second");
    assert_eq!((second.provider, second.calls_in_flight), (None, Some(4)));
    assert_eq!((third.provider, third.key.is_some()), (Some(Provider::Ollama), false));
    let [route] = model.route.as_slice() else { panic!("{:?}", model.route) };
    assert_eq!((route.role, route.label.as_deref()), (Some(ModelRole::Plan), Some("docs")));
    assert_eq!(route.names, ["big", "small"]);
    assert_eq!(model.json_models, ["small"]);
}

#[test]
fn what_is_wrong_with_a_server_or_a_route_is_told_with_its_place() {
    for (file, words) in [
        ("[[model.server]]\nurl = 'http://g:1'\nprovider = 'vllm'", "model.server[http://g:1].provider"),
        (
            "[model]\nprovider = 'openai'\n[[model.server]]\nurl = 'http://g:1'\nkey_file = 'none'",
            "model.server[http://g:1].key_file",
        ),
        ("[[model.server]]\nurl = 'http://g:1'\ncalls_in_flight = 0", "1 to 64"),
        ("[[model.server]]\nurl = 'http://127.0.0.1:11434/'", "is there twice"),
        ("[[model.server]]\nprovider = 'ollama'", "model.server[number 1]"),
        ("[[model.route]]\nnames = []", "model.route[number 1].names"),
        ("[[model.route]]\nnames = ['a']\nrole = 'cook'", "role"),
        ("[[model.route]]\nrole = 'plan'", "names"),
        ("[model]\nroute = ['a']", "tables [[model.route]], each with its names"),
        ("[model]\nprovider = 'gemini'", "ollama"),
        ("[model]\nkey = 'k'", "model.key"),
        ("[model]\njson_models = ['a b']", "json_models"),
    ] {
        let problems = Machine::with_file(file).problems();
        assert_eq!(problems.len(), 1, "{file}: {problems:?}");
        assert!(problems[0].contains(words) && problems[0].contains("bzzz.toml:"), "{file}: {problems:?}");
    }
}
