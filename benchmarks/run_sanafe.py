"""Run SANA-FE on the data that `hwsim.sanafe.export` made: the only file that imports it, in a process of its own.

    /path/to/python/with/sanafe benchmarks/run_sanafe.py network.json report.json [--time 3]

The report says what SANA-FE counted, priced and timed (simple timing model), step by step. With `--time N` the
same is run N more times without any traces, and the seconds of each run are added.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sanafe

SCHEMA = 2
"""Version of the data that is read here."""
Data = dict[str, Any]


def build(data: Data) -> tuple[Any, Any]:
    """The architecture and the network in SANA-FE's own types."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        # JSON is YAML, but for whole numbers as keys, which SANA-FE wants bare
        file.write(re.sub(r'"(\d+)":', r"\1:", json.dumps(data["architecture"])))
        file.flush()
        chip = sanafe.load_arch(file.name)
    net, groups = sanafe.Network(), {}
    cores = [tile.cores for tile in chip.tiles]
    for kind, populations in (("input", data["inputs"]), ("layer", data["populations"])):
        for number, one in enumerate(populations):
            group = net.create_neuron_group(f"{kind}{number}", len(one["tile"]), log_spikes=kind == "layer")
            groups[one["name"]] = group
            for i, neuron in enumerate(group.neurons):
                neuron.set_attributes(soma_hw_name=one["soma"][i], dendrite_hw_name="dendrite", **_own(one, i))
                neuron.map_to_core(cores[one["tile"][i]][one["core"][i]])
    for edge in data["edges"]:
        target, weights = groups[edge["target"]], {"weight": [float(w) for w in edge["weight"]]}
        for neuron in target.neurons:  # a synapse takes the unit that its target names when it is made
            neuron.set_attributes(default_synapse_hw_name=edge["unit"])
        groups[edge["source"]].connect_neurons_sparse(target, weights, edge["pairs"])
    return chip, net


def _own(one: Data, i: int) -> Data:
    if "spikes" in one:
        return {"model_attributes": {"spikes": [bool(x) for x in one["spikes"][i]]}}
    attributes = {key: values[i] for key, values in one["attributes"].items()}
    return {"model_attributes": attributes}


def run(data: Data, architecture: Any, net: Any, traced: bool) -> tuple[list[Data], float]:
    """Simulate from zero state; gives what each call of SANA-FE returned, and the seconds spent in them."""
    chip = sanafe.SpikingChip(architecture)
    chip.load(net)
    number = {one["name"]: f"layer{i}" for i, one in enumerate(data["populations"])}
    traces = {f"{name}_trace": True for name in ("spike", "perf", "message")} if traced else {}
    found, spent, step = [], 0.0, 0
    while step < data["steps"]:
        for name, neurons, values in data["bias"][step]:
            group = chip.mapped_neuron_groups[number[name]]
            for neuron, value in zip(neurons, values, strict=True):
                group[neuron].set_attributes(model_attributes={"bias": value})
        ahead = next((n for n in range(step + 1, data["steps"]) if data["bias"][n]), data["steps"])
        count = 1 if data["forget"] else ahead - step
        begin = time.perf_counter()
        found.append(chip.sim(count, timing_model="simple", **traces))
        spent += time.perf_counter() - begin
        if data["forget"]:
            chip.reset()  # what is on its way and all potentials; firing is imposed anew in each step
        step += count
    return found, spent


def report(data: Data, results: list[Data]) -> Data:
    """Spikes by layer and step, messages by step and pair of cores, and SANA-FE's own sums of each step."""
    steps: list[Data] = []
    spikes: dict[str, list[list[int]]] = {one["name"]: [] for one in data["populations"]}
    for result in results:
        perf = result["perf_trace"]
        for i in range(result["timesteps_executed"]):
            steps.append({key: values[i] for key, values in perf.items()})
            for number, lists in enumerate(spikes.values()):
                fired = [x.neuron_offset for x in result["spike_trace"][i] if x.group_name == f"layer{number}"]
                lists.append(sorted(fired))
    messages: Counter[tuple[int, ...]] = Counter()
    operations: Counter[tuple[int, ...]] = Counter()
    hops: Counter[tuple[int, ...]] = Counter()
    for result in results:
        for message in (m for step in result["message_trace"] for m in step if not m["placeholder"]):
            ends = [message[f"{end}_{part}"] for end in ("src", "dest") for part in ("tile_id", "core_offset")]
            key = (message["timestep"] - 1, *ends)
            messages[key] += 1
            operations[key] += message["spikes"]
            hops[key] += message["hops"]
    rows = [[*key, count, operations[key], hops[key]] for key, count in sorted(messages.items())]
    return {"steps": steps, "spikes": spikes, "messages": rows}


def main() -> None:
    """Read the data, run, write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="file of the exported network")
    parser.add_argument("report", type=Path, help="file to write")
    parser.add_argument("--time", type=int, default=0, help="runs to time, without traces")
    arguments = parser.parse_args()
    data = json.loads(arguments.data.read_text())
    if data["schema"] != SCHEMA:
        raise SystemExit(f"schema {data['schema']}: this script reads {SCHEMA}, export the network again")
    begin = time.perf_counter()
    architecture, net = build(data)
    built = time.perf_counter() - begin
    found = report(data, run(data, architecture, net, traced=True)[0])
    found["build_s"] = built
    found["run_s"] = [run(data, architecture, net, traced=False)[1] for _ in range(arguments.time)]
    arguments.report.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
