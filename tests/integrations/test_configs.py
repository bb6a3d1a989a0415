"""Policies from command lines and configurations: each recipe, and back again."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import page
import pytest
from torch import nn, optim

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch, bound, parse
from thunder_policy.schedules import Constant, Cosine, ScheduleFunction, warmup

WRITTEN = Switch({0: 1e-3, 30: 1e-4})
CALLABLE = Schedule([Constant(0.1), None])


def sgd() -> optim.SGD:
    return optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)


def test_each_recipe_has_ten_lines_at_most() -> None:
    assert len(page.RECIPES) > 15
    for _, code in page.RECIPES[1:]:
        lines = [line for line in code.splitlines() if line.strip()]
        assert len(lines) <= 10, code


@pytest.mark.spec("F1", "K8")
def test_the_recipes_that_need_no_package() -> None:
    names = page.run()
    assert names["config"] == json.dumps(
        {"policy": repr(Scale(warmup(5, Cosine(1, 0, 85)))), "epochs": 90}
    )
    assert names["policy"] == Scale(warmup(5, Cosine(1.0, 0.0, 85)))
    scheduler = names["schedule"](sgd(), num_training_steps=4, last_epoch=1)
    assert scheduler.get_last_lr() == [0.1 * Cosine(1.0, 0.0, 4)(2)]


@pytest.mark.spec("F1")
def test_toml() -> None:
    tomllib = pytest.importorskip("tomllib", reason="it came with Python 3.11")
    text = f"policy = {json.dumps(repr(WRITTEN))}"
    assert parse(tomllib.loads(text)["policy"]) == WRITTEN


@pytest.mark.spec("F1", "F3", "C14")
def test_yaml_holds_the_text_in_quotes_and_policies_by_their_arguments() -> None:
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load(yaml.safe_dump({"policy": repr(WRITTEN)}))
    assert parse(config["policy"]) == WRITTEN
    with pytest.raises(TypeError, match="in YAML put it in quotes"):
        parse(yaml.safe_load("policy: {Switch: {0: 1}}")["policy"])
    with pytest.raises(TypeError, match=r"not '1e-3' \(str\).*in YAML as 1\.0e-3"):
        Switch(yaml.safe_load("{0: 1e-3}"))
    assert Switch(yaml.safe_load("{0: 1.0e-3, 30: 1.0e-4}")) == WRITTEN
    # What hparams.yaml of Lightning holds: no private name.
    for policy in (WRITTEN, CALLABLE, Multiply({1: 0.5}, None, option="momentum")):
        dumped = yaml.dump(policy)
        assert not any(part.startswith("_") for part in dumped.replace("'", " ").split())
        assert yaml.unsafe_load(dumped) == policy


@pytest.mark.spec("F3", "F4")
def test_jsonargparse(tmp_path: Any) -> None:
    names = page.run("jsonargparse")
    parser, Parser = names["parser"], names["ArgumentParser"]
    assert names["policy"] == WRITTEN
    dumped = parser.dump(parser.parse_args(["--policy", repr(CALLABLE)]))
    assert "Schedule(mapping=[Constant" in dumped

    # A class and its arguments; the sequences and the None of an lr_init, too.
    parser = Parser(exit_on_error=False)
    parser.add_class_arguments(Switch, "switch")
    parser.add_class_arguments(Schedule, "schedule")
    parsed = parser.parse_args(
        ["--switch.mapping=[{0: 1e-3}, {3: 1}]", "--switch.lr_init=[1, 2]", "--schedule.lr_init=3"]
        + ["--schedule.mapping=thunder_policy.schedules.Cosine", "--schedule.mapping.start=1"]
        + ["--schedule.mapping.end=0", "--schedule.mapping.epochs=9"]
    )
    made = parser.instantiate(parsed)
    assert made.switch == Switch([{0: 1e-3}, {3: 1.0}], [1.0, 2.0])
    assert made.schedule == Schedule(Cosine(1.0, 0.0, 9), 3.0)
    file = tmp_path / "config.yaml"
    parser.save(parsed, file, skip_unset=False)
    parser.add_argument("--config", action="config")
    again = parser.instantiate(parser.parse_args([f"--config={file}"]))
    assert (again.switch, again.schedule) == (made.switch, made.schedule)


@pytest.mark.spec("F3", "F4")
def test_tyro(capsys: pytest.CaptureFixture[str]) -> None:
    names = page.run("tyro")
    tyro = names["tyro"]
    assert names["policy"] == WRITTEN
    with pytest.raises(SystemExit):
        tyro.cli(names["Annotated"][Policy, names["text"]], args=["Swich({0: 1})"])
    assert "unknown name Swich" in " ".join(capsys.readouterr().err.split())
    # A class and its arguments.
    assert tyro.cli(Switch, args=["--mapping", "0", "1e-3", "30", "1e-4"]) == WRITTEN


@pytest.mark.spec("F1")
def test_draccus() -> None:
    names = page.run("draccus")
    draccus = names["draccus"]
    assert names["policy"] == WRITTEN

    @dataclasses.dataclass
    class Config:
        policy: Policy = dataclasses.field(default_factory=lambda: Switch({0: 0.1}))

    config = draccus.parse(Config, args=["--policy", "'Switch({0: 1e-3, 30: 1e-4})'"])
    assert config.policy == WRITTEN
    assert draccus.load(Config, io.StringIO(draccus.dump(config))) == config
    with pytest.raises(Exception, match="in YAML put it in quotes"):
        draccus.parse(Config, args=["--policy", "Switch({0: 1e-3})"])


@pytest.mark.spec("F1")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_gin() -> None:
    pytest.importorskip("gin")
    names = page.run("gin")
    assert names["policy"] == WRITTEN
    gin = names["gin"]
    gin.clear_config()
    gin.external_configurable(Switch)
    gin.parse_config(["train.policy = @Switch()", "Switch.mapping = {0: 1e-3, 30: 1e-4}"])
    assert names["train"]() == WRITTEN
    gin.clear_config()


@pytest.mark.spec("C6", "C14", "F4", "P1")
def test_hydra() -> None:
    names = page.run("hydra")
    from hydra.errors import InstantiationException

    instantiate, OmegaConf = names["instantiate"], names["OmegaConf"]
    expected = Switch({0: 0.1, 30: 0.01})
    assert names["policy"] == expected
    assert instantiate(names["config"].text) == expected
    assert type(names["scheduler"]) is bound.Switch
    assert names["scheduler"].optimizer is names["optimizer"]

    # Its lists are sequences, its dicts mappings, its objects arguments.
    several = OmegaConf.create({"mapping": [{0: 0.1}, {0: 0.2}], "lr_init": [0.1, 0.2]})
    assert Switch(**several) == Switch([{0: 0.1}, {0: 0.2}], [0.1, 0.2])
    nested = {"_target_": "thunder_policy.schedules.Cosine", "start": 1, "end": 0, "epochs": 9}
    scale: dict[str, Any] = {"_target_": "thunder_policy.Scale", "mapping": nested}
    assert instantiate(OmegaConf.create(scale)) == Scale(Cosine(1.0, 0.0, 9))
    # In a list it makes configurations of dataclasses again, if it is not told otherwise.
    scale |= {"mapping": [nested, None]}
    with pytest.raises(InstantiationException, match=r"mapping\[0\] .* Hydra write _convert_: all"):
        instantiate(OmegaConf.create(scale))
    scale |= {"_convert_": "all"}
    assert instantiate(OmegaConf.create(scale)) == Scale([Cosine(1.0, 0.0, 9), None])
    for mapping, cure in (({"0": 0.1}, "JSON"), ({0: "1e-3"}, r"1\.0e-3")):
        config = OmegaConf.create({"_target_": "thunder_policy.Switch", "mapping": mapping})
        with pytest.raises(InstantiationException, match=cure):
            instantiate(config)
    # A structured config, from text or from a target.
    assert names["training"].decay == Cosine(0.1, 0.0, 90)
    assert parse(names["training"].policy) == Switch({0: 0.1})
    config = OmegaConf.merge(OmegaConf.structured(OfSwitch({0: 0.1})), {"mapping": {30: 0.01}})
    assert instantiate(config) == expected
    # A resolver.
    OmegaConf.register_new_resolver("policy", lambda text: repr(parse(text)), replace=True)
    config = OmegaConf.create({"policy": "${policy:'Switch({0: 1e-3, 30: 1e-4})'}"})
    assert parse(config.policy) == WRITTEN


@dataclasses.dataclass
class OfSwitch:
    mapping: dict[int, float]
    _target_: str = "thunder_policy.Switch"


@pytest.mark.spec("F5", "C14")
def test_pydantic() -> None:
    pydantic = pytest.importorskip("pydantic")
    names = page.run("pydantic")
    Config, config = names["Config"], names["config"]
    assert config.policy == WRITTEN
    assert config.decay == Cosine(0.1, 0.0, 90)
    # What is dumped is the text of each, and what is read again is the same.
    dumped = {
        "policy": "Switch(mapping={0: 0.001, 30: 0.0001}, lr_init=0.001)",
        "decay": "Cosine(start=0.1, end=0.0, epochs=90)",
    }
    assert config.model_dump() == dumped == json.loads(config.model_dump_json())
    assert Config(**dumped) == config == Config(policy=WRITTEN, decay=Cosine(0.1, 0, 90))
    assert Config.model_json_schema()["properties"]["policy"]["type"] == "string"

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"policy": "Swich({0: 1})"}, "column 1: unknown name Swich"),
        ({"policy": "Constant(1)"}, r"must be a Policy or its text, not Constant\(value=1.0\)"),
        ({"policy": {"mapping": {0: 1}}}, "must be a Policy or its text"),
        ({"policy": WRITTEN, "decay": "Switch({0: 1})"}, "must be a ScheduleFunction or its text"),
    ]
    for given, message in wrong:
        with pytest.raises(pydantic.ValidationError, match=message):
            Config(**given)
    for policy in (Schedule(abs), Switch({0: 0.1})(sgd())):
        for dump in (Config(policy=policy).model_dump, Config(policy=policy).model_dump_json):
            with pytest.raises(ValueError, match="has no text"):
                dump()


@pytest.mark.spec("F5")
def test_pydantic_takes_policies_and_schedules_in_dataclasses_and_by_their_fields() -> None:
    pydantic = pytest.importorskip("pydantic")

    @dataclasses.dataclass
    class Config:
        policy: Switch | Multiply
        decays: list[ScheduleFunction]
        known: Cosine

    adapter = pydantic.TypeAdapter(Config)
    config = Config(Multiply({1: 0.5}), [Constant(1), warmup(2, Constant(1))], Cosine(1, 0, 9))
    assert adapter.validate_json(adapter.dump_json(config)) == config
    # One of a known class is its fields, as any dataclass is.
    assert adapter.dump_python(config)["known"] == {"start": 1.0, "end": 0.0, "epochs": 9}

    # A function with the annotations of the constructor reads epochs and numbers from text.
    make: Callable[..., Any] = pydantic.validate_call(_switch)
    assert make({"0": "1e-3", "30": "1e-4"}) == WRITTEN


def _switch(mapping: dict[int, float]) -> Switch:
    return Switch(mapping)
