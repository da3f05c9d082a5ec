use super::*;

const SCENARIO: &str = "[[transmitter]]\nmodalities = [\"fft\"]\n[[transmitter]]\nmodalities = [\"mel\"]\n\
                        [[receiver]]\ntask = \"digit\"\n";

fn parse(networks: &str) -> Result<Scenario, String> {
    Scenario::parse(&format!("{networks}\n{SCENARIO}"), "my.toml", &[]).map_err(|error| error.to_string())
}

fn mlp(hidden: &[usize]) -> Kind {
    Kind::ResidualMlp { hidden: hidden.to_vec() }
}

#[test]
fn every_network_has_the_kind_that_is_nearest_to_it() {
    let scenario = parse(
        "[network.encoder]\nhidden = [64, 32]\n[network.encoder.mel]\nhidden = [16]\n\
         [network.joint.digit]\nhidden = [4]\n[network.selector]\nkind = \"residual-mlp\"\n",
    )
    .unwrap();
    assert_eq!(scenario.encoder("fft").model.kind, mlp(&[64, 32]));
    assert_eq!(scenario.encoder("mel").model.kind, mlp(&[16]));
    assert_eq!(scenario.joint("digit").model.kind, mlp(&[4]));
    assert_eq!(scenario.local("digit").model.kind, mlp(&[512, 256]));
    assert_eq!(scenario.network.selector, Model::default());
    assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
}

#[test]
fn sizes_can_be_set_on_the_command_line_and_count_as_a_difference() {
    let set = ["network.encoder.hidden=[8]".to_owned(), "network.joint.digit.hidden=[4, 2]".to_owned()];
    let scenario = Scenario::parse(SCENARIO, "my.toml", &set).unwrap();
    assert_eq!(scenario.encoder("mel").model.kind, mlp(&[8]));
    assert_eq!(scenario.joint("digit").model.kind, mlp(&[4, 2]));
    let differences = scenario.differences(&parse("").unwrap());
    let keys: Vec<&str> = differences.iter().map(|change| change.key.as_str()).collect();
    let joint = ["network.joint.digit.hidden", "network.joint.digit.kind", "network.joint.digit.train"];
    assert_eq!(keys, [&["network.encoder.hidden"], &joint[..]].concat());
}

#[test]
fn layers_are_lines_or_tables_and_are_read_back() {
    let scenario = parse(
        "[network.encoder]\nkind = \"sequential\"\noutputs = 9\nshape = [14, 14]\nhead = { hidden = [5] }\n\
         layers = [\"linear 8\", \"relu\", { kind = \"linear\", width = 4 }, \"dropout rate 0.5\", \"flatten\"]\n\
         [network.encoder.mel]\nhidden = [3]\n",
    )
    .unwrap();
    let described = scenario.encoder("fft");
    let linear = |width| Layer::Linear { width };
    let layers = vec![linear(8), Layer::Relu, linear(4), Layer::Dropout { rate: 0.5 }, Layer::Flatten];
    assert_eq!(described.model.kind, Kind::Sequential { layers });
    assert_eq!((described.model.outputs, described.model.shape.as_deref()), (Some(9), Some(&[14, 14][..])));
    let head = described.head();
    assert_eq!((head.key.as_str(), head.model.kind), ("network.encoder.head", mlp(&[5])));
    assert_eq!(scenario.encoder("mel").model.kind, mlp(&[3]));
    assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
}

#[test]
fn kinds_with_sizes_alone_are_read_back_and_their_mistakes_named() {
    let read = |keys: &str| parse(&format!("[network.joint]\n{keys}"));
    for (keys, kind) in [
        ("kind = \"points\"\nhidden = [8, 4]", Kind::Points { hidden: vec![8, 4] }),
        ("kind = \"gru\"\nhidden = 8", Kind::Gru { hidden: 8, layers: 1 }),
        ("kind = \"lstm\"\nhidden = 8\nlayers = 2", Kind::Lstm { hidden: 8, layers: 2 }),
        (
            "kind = \"attention\"\npatch = 2",
            Kind::Attention { blocks: 2, heads: 4, width: 64, patch: [2, 2] },
        ),
        (
            "kind = \"attention\"\npatch = [5, 1]\nblocks = 1\nheads = 2\nwidth = 8",
            Kind::Attention { blocks: 1, heads: 2, width: 8, patch: [5, 1] },
        ),
    ] {
        let scenario = read(keys).unwrap();
        assert_eq!(scenario.joint("digit").model.kind, kind);
        assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
    }
    for (keys, expected) in [
        ("kind = \"points\"", "my.toml: line 1: hidden is missing"),
        (
            "kind = \"points\"\nhidden = 3",
            "my.toml: line 1: hidden: invalid type: integer `3`, expected a sequence",
        ),
        (
            "kind = \"points\"\nhidden = [0]",
            "my.toml: network.joint.hidden[0] is 0; it must be from 1 to 16384",
        ),
        ("kind = \"gru\"", "my.toml: line 1: hidden is missing"),
        ("kind = \"gru\"\nhidden = [3]", "my.toml: line 1: hidden: invalid type: sequence, expected usize"),
        (
            "kind = \"lstm\"\nhidden = 3\nlayers = 65",
            "my.toml: line 1: layers is 65; it must be from 1 to 64",
        ),
        ("kind = \"attention\"", "my.toml: line 1: patch is missing"),
        ("kind = \"attention\"\npatch = [1, 2, 3]", "my.toml: line 1: patch has 3 sizes; give one for both"),
        ("kind = \"attention\"\npatch = 0", "my.toml: line 1: patch is 0; it must be from 1 to 16384"),
        (
            "kind = \"attention\"\npatch = 1\nhead = 2",
            "my.toml: line 1: head: invalid type: integer `2`, expected a map",
        ),
    ] {
        let message = read(keys).unwrap_err();
        assert!(message.starts_with(expected), "{keys}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn layers_of_images_are_read_back_with_all_their_sizes() {
    let text = "[network.encoder]\nkind = \"sequential\"\noutputs = 9\nlayers = [\"conv2d 8 5x3 stride 2 padding 1x2\", \
                \"max-pool 2\", { kind = \"residual\", layers = [\"conv2d 8 3 padding 1 groups 2\", \"group-norm 4\"] }, \
                \"avg-pool 2x1 stride 1\", \"global-mean\", \"layer-norm\"]\n\
                [network.encoder.mel]\nkind = \"sequential\"\noutputs = 9\nlayers = [\"conv1d 8 5 stride 2\"]\n";
    let scenario = parse(text).unwrap();
    let conv =
        |kernel, stride, padding, groups| Layer::Conv2d { channels: 8, kernel, stride, padding, groups };
    let layers = vec![
        conv([5, 3], [2, 2], [1, 2], 1),
        Layer::MaxPool { kernel: [2, 2], stride: [2, 2] },
        Layer::Residual(vec![conv([3, 3], [1, 1], [1, 1], 2), Layer::GroupNorm { groups: 4 }]),
        Layer::AvgPool { kernel: [2, 1], stride: [1, 1] },
        Layer::GlobalMean,
        Layer::LayerNorm,
    ];
    assert_eq!(scenario.encoder("fft").model.kind, Kind::Sequential { layers });
    let layers = vec![Layer::Conv1d { channels: 8, kernel: 5, stride: 2, padding: 0, groups: 1 }];
    assert_eq!(scenario.encoder("mel").model.kind, Kind::Sequential { layers });
    assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
}

#[test]
fn every_mistake_in_layers_is_one_line_that_names_the_layer() {
    for (layers, expected) in super::mistakes::LAYERS {
        let text = format!("[network.encoder]\nkind = \"sequential\"\noutputs = 3\nlayers = [{layers}]");
        let message = parse(&text).unwrap_err();
        assert!(message.starts_with(&format!("my.toml: line 1: {expected}")), "{layers}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn every_mistake_around_layers_is_one_line_that_names_the_key() {
    let layers = "kind = \"sequential\"\nlayers = [\"relu\"]";
    for (networks, expected) in [
        ("[network.joint]\nkind = \"sequential\"", "my.toml: line 1: layers is missing"),
        (
            "[network.joint]\nkind = \"sequential\"\nlayers = \"relu\"",
            "my.toml: line 1: layers: invalid type: string \"relu\"",
        ),
        ("[network.joint]\nkind = 3", "my.toml: line 1: kind: invalid type: integer `3`, expected a string"),
        (
            "[network.joint]\nhidden = [3]\nLAYERS",
            "my.toml: line 1: unknown field `hidden`, expected one of `kind`, `shape`, `order`, `outputs`, `head`, `layers`",
        ),
        (
            "[network.encoder]\noutputs = 3",
            "my.toml: line 1: unknown field `outputs`, expected one of `kind`, `hidden`",
        ),
        (
            "[network.encoder.head]\nhidden = [3]",
            "my.toml: line 1: unknown field `head`, expected one of `kind`, `hidden`",
        ),
        (
            "[network.encoder]\nLAYERS",
            "my.toml: network.encoder.outputs is missing: say how many values its head is to get of a sample",
        ),
        (
            "[network.encoder]\nLAYERS\noutputs = 0",
            "my.toml: line 1: outputs is 0; it must be from 1 to 16384",
        ),
        ("[network.local]\nLAYERS\noutputs = 3", "my.toml: network.local.outputs is for encoders alone"),
        (
            "[network.encoder]\nLAYERS\noutputs = 3\nhead = { kind = \"sequential\", layers = [\"relu\"], outputs = 3 }",
            "my.toml: network.encoder.head.outputs is for encoders alone",
        ),
        (
            "[network.encoder]\nLAYERS\noutputs = 3\nhead = { hidden = [0] }",
            "my.toml: network.encoder.head.hidden[0] is 0; it must be from 1 to 16384",
        ),
        (
            "[network.selector]\nLAYERS\nshape = []",
            "my.toml: network.selector.shape: the number of its axes is 0; it must be from 1 to 3",
        ),
        (
            "[network.selector]\nLAYERS\norder = [0, 2]",
            "my.toml: network.selector.order is [0, 2]; it must name each of two or three axes once",
        ),
        (
            "[network.selector]\nLAYERS\nshape = [2, 0]",
            "my.toml: network.selector.shape[1] is 0; it must be from 1 to 1048576",
        ),
    ] {
        let message = parse(&networks.replace("LAYERS", layers)).unwrap_err();
        assert!(message.starts_with(expected), "{networks}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_users_kind_of_network_keeps_its_keys() {
    let scenario = parse("[network.encoder]\nkind = \"mine\"\noutputs = 9\ndepth = 3\n").unwrap();
    let described = scenario.encoder("fft");
    let Kind::Own { name, keys } = &described.model.kind else { panic!("not its own kind") };
    assert_eq!((name.as_str(), keys["depth"].as_integer()), ("mine", Some(3)));
    assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
}

#[test]
fn what_is_no_network_is_refused_in_one_line() {
    for (networks, expected) in [
        (
            "[network.encoder]\nhiden = [8]",
            "my.toml: line 1: unknown field `hiden`, expected one of `kind`, `hidden`",
        ),
        (
            "[network.joint.digit]\nwidth = 8",
            "my.toml: line 1: digit: unknown field `width`, expected one of ",
        ),
        (
            "[network.selector]\nhidden = 8",
            "my.toml: line 1: hidden: invalid type: integer `8`, expected a sequence",
        ),
        (
            "[network.local]\nhidden = [-1]",
            "my.toml: line 1: hidden: invalid value: integer `-1`, expected usize",
        ),
        (
            "[network.encoder]\nhidden = [8, 0]",
            "my.toml: network.encoder.hidden[1] is 0; it must be from 1 to 16384",
        ),
        (
            "[network.encoder.depth]\nhidden = [8]",
            "my.toml: network.encoder.depth describes a network for what no transmitter observes; there are fft, mel",
        ),
        (
            "[network.local.mood]\nhidden = [8]",
            "my.toml: network.local.mood describes a network for what no receiver has the task; there are digit",
        ),
    ] {
        let message = parse(networks).unwrap_err();
        assert!(message.starts_with(expected), "{networks}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let many = format!("[network.encoder]\nhidden = {:?}", [1; 65]);
    let expected = "my.toml: network.encoder.hidden: the number of its sizes is 65; it must be from 1 to 64";
    assert_eq!(parse(&many).unwrap_err(), expected);
}

#[test]
fn files_to_begin_with_are_read_back_and_found_with_their_keys() {
    let text = "[network.encoder]\nweights = \"a\"\ntrain = false\n[network.encoder.mel]\nkind = \"gru\"\nhidden = 3\noutputs = 2\n\
                weights = { file = \"b\", names = { \"fc.weight\" = \"output.w\" } }\nhead = { weights = \"c\" }\n\
                [network.joint.weights]\nfile = \"d\"\n[network.selector]\nweights = \"e\"\n[network.local]\nkind = \"mine\"\ndepth = 3\nweights = \"f\"";
    let mut scenario = parse(text).unwrap();
    assert!(!scenario.encoder("fft").model.train && scenario.encoder("mel").model.train);
    assert_eq!(scenario.encoder("mel").model.weights.unwrap().names["fc.weight"], "output.w");
    let Kind::Own { keys, .. } = scenario.local("digit").model.kind else { panic!("not its own kind") };
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["depth"]);
    let found: Vec<String> = scenario
        .weights_mut()
        .into_iter()
        .map(|(key, weights)| {
            weights.sha256 = Some("0a".repeat(32));
            format!("{key} {}", weights.path.display())
        })
        .collect();
    let expected = [
        "network.encoder a",
        "network.encoder.mel b",
        "network.encoder.mel.head c",
        "network.joint d",
        "network.local f",
        "network.selector e",
    ];
    assert_eq!(found, expected);
    assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
}

#[test]
fn every_mistake_around_files_is_one_line_that_names_the_key() {
    for (networks, expected) in [
        ("weights = 3", "my.toml: line 1: weights is integer; it must be the path of a safetensors file"),
        ("weights = { sha256 = \"\" }", "my.toml: line 1: weights: file is missing"),
        (
            "weights = { file = \"a\", path = \"b\" }",
            "my.toml: line 1: weights: unknown field `path`, expected one of `file`, `sha256`, `names`",
        ),
        ("weights = \"\"", "my.toml: network.joint.weights is empty; name a safetensors file"),
        (
            "weights = { file = \"a\", sha256 = \"0A\" }",
            "my.toml: network.joint.weights.sha256 is \"0A\"; it must be 64 of the digits 0 to 9 and a to f",
        ),
        ("train = \"no\"", "my.toml: line 1: train: invalid type: string \"no\", expected a boolean"),
    ] {
        let message = parse(&format!("[network.joint]\n{networks}")).unwrap_err();
        assert!(message.starts_with(expected), "{networks}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_users_kind_of_encoder_without_outputs_is_trunk_and_head_in_one() {
    let whole = "[network.encoder]\nkind = \"mine\"\n";
    assert_eq!(parse(whole).unwrap().encoder("fft").model.outputs, None);
    let with_head = parse(&format!("{whole}head = {{ hidden = [3] }}")).unwrap_err();
    assert!(with_head.starts_with("my.toml: network.encoder.head is there without outputs: "), "{with_head}");
    let divided = parse(&format!("train.task_input = \"film\"\n{whole}")).unwrap_err();
    assert!(divided.starts_with("my.toml: network.encoder.outputs is missing: "), "{divided}");
}
