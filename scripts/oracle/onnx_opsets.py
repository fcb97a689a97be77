#!/usr/bin/env python3
"""Writes formats/onnx/opsets.inc: from which opset on each operator takes what.

    scripts/oracle/onnx_opsets.py > formats/onnx/opsets.inc        (needs the package onnx 1.22 or newer)

A row is a version of an operator of the default domain: its name, opset, least and most inputs, most
outputs, the element types that any of its type constraints names (bit n: TensorProto.DataType n), and
those attributes of its newest version that this one lacks. Versions that differ in none of these from
the one before, and those that opset 7 replaced, are left out.
"""
import re
import textwrap
import onnx.defs

NUMBERS = {name: number for number, name in enumerate(
    "- float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64 complex64 "
    "complex128 bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1 "
    "float8e8m0 uint2 int2".split())}
NEWEST = 27
MANY = 2147483647


def types_of(schema):
    mask = 0
    named = [t for constraint in schema.type_constraints for t in constraint.allowed_type_strs]
    named += [i.type_str for i in list(schema.inputs) + list(schema.outputs)]
    for text in named:
        match = re.fullmatch(r"(?:seq\(|optional\()*tensor\((\w+)\)+", text)
        if match and match.group(1) in NUMBERS:
            mask |= 1 << NUMBERS[match.group(1)]
    return mask


def main():
    versions = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        stable = schema.support_level == onnx.defs.OpSchema.SupportType.COMMON
        if schema.domain == "" and stable and schema.since_version <= NEWEST:
            versions.setdefault(schema.name, []).append(schema)
    print("// Written by scripts/oracle/onnx_opsets.py; see there.")
    print("// clang-format off")
    for name in sorted(versions):
        history = sorted(versions[name], key=lambda s: s.since_version)
        if history[-1].deprecated:
            continue
        newest = set(history[-1].attributes)
        before = None
        for i, schema in enumerate(history):
            replaced = i + 1 < len(history) and history[i + 1].since_version <= 7
            lacks = " ".join(sorted(newest - set(schema.attributes)))
            facts = (schema.min_input, min(schema.max_input, MANY), min(schema.max_output, MANY),
                     types_of(schema), lacks)
            if replaced or schema.deprecated or facts == before:
                continue
            before = facts
            most = ["kMany" if n == MANY else str(n) for n in facts[1:3]]
            row = '{"%s", %d, %d, %s, %s, 0x%x,' % (name, schema.since_version, facts[0], *most,
                                                    facts[3])
            short = f'{row} "{lacks}"}},'
            parts = [f'"{part}"' for part in textwrap.wrap(lacks, 96, drop_whitespace=False)]
            print(short if len(short) <= 100 else "\n ".join([row] + parts) + "},")


main()
