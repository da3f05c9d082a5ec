"""Lets an optimiser of Python drive a search: Optuna where it is installed, else a random search of a few lines.

    pom2dib sweep --set train.beta=1e-5..1e-1:log --rounds 50 --out search --print
    python3 examples/search.py search --points 10

`ask` gives a point, `point` runs it, and `tell` returns its value, which is to be high. See docs/clusters.md.
"""

import argparse
import json
import math
import random
import subprocess
import sys


def call(program, *words, given=None):
    """Runs the program with these words, and returns the JSON that it prints."""
    text = None if given is None else json.dumps(given)
    done = subprocess.run([program, *map(str, words)], input=text, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{program} {words[0]} ended with status {done.returncode}")
    return json.loads(done.stdout)


def value_at(program, folder, values):
    """Runs the network at these values, and returns what the search is to make large."""
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    asked = call(program, "ask", folder, *words)
    if not asked["done"]:
        subprocess.run([program, "point", asked["folder"]], check=True)
    told = call(program, "tell", folder, given={"point": asked["point"]})
    print(f"{told['point']}: {told['value']:.4f}, {told['value_is']}")
    return told


def by_optuna(optuna, program, folder, space, points):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1))
    for _ in range(points):
        trial = study.ask()
        values = {}
        for part in space:
            if "values" in part:
                values[part["key"]] = trial.suggest_categorical(part["key"], part["values"])
            elif part["integer"]:
                values[part["key"]] = trial.suggest_int(
                    part["key"], int(part["low"]), int(part["high"]), log=part["log"])
            else:
                values[part["key"]] = trial.suggest_float(part["key"], part["low"], part["high"], log=part["log"])
        told = value_at(program, folder, values)
        study.tell(trial, told["value"])
    return told["best"]


def at_random(program, folder, space, points):
    numbers = random.Random(1)
    for _ in range(points):
        values = {}
        for part in space:
            if "values" in part:
                values[part["key"]] = numbers.choice(part["values"])
            elif part["integer"]:
                values[part["key"]] = numbers.randint(int(part["low"]), int(part["high"]))
            elif part["log"]:
                ends = math.log(part["low"]), math.log(part["high"])
                values[part["key"]] = math.exp(numbers.uniform(*ends))
            else:
                values[part["key"]] = numbers.uniform(part["low"], part["high"])
        told = value_at(program, folder, values)
    return told["best"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="the folder of a search")
    parser.add_argument("--points", type=int, default=10, help="how many points are run")
    parser.add_argument("--program", default="pom2dib")
    given = parser.parse_args()
    # The first point is the program's own, and its answer has the space.
    first = call(given.program, "ask", given.folder)
    space = first["space"]
    value_at(given.program, given.folder, first["values"])
    try:
        import optuna
    except ImportError:
        print("without Optuna: a random search")
        best = at_random(given.program, given.folder, space, given.points)
    else:
        print(f"Optuna {optuna.__version__}")
        best = by_optuna(optuna, given.program, given.folder, space, given.points)
    print(f"best: {best['point']}, {best['value']:.4f}")


if __name__ == "__main__":
    main()
