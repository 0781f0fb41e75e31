"""Loops, switch and functions of the subset; what they have in common is a block that runs more than once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tree_sitter import Node

from lab.posh_command import CommandCompiler
from lab.posh_compare import comparison, truthy, wildcard
from lab.posh_errors import LoopFlow, ReturnFlow, StatementError, runtime
from lab.posh_expressions import Body, Expr, parts
from lab.posh_parameters import ScriptParameter, bind_script
from lab.posh_scope import Scope, Token
from lab.posh_syntax import refuse, text_of
from lab.posh_values import Value, as_list, to_text

TURNS = 1_000_000  # a loop that nobody stops must not turn for ever
DEPTH = 50


class LoopCompiler(CommandCompiler):
    """Adds while, do, for, switch and function to commands."""

    def parameters(self, node: Node) -> list[ScriptParameter]:
        """Compile the parameters of a script or a function."""
        raise NotImplementedError

    def _do_while_statement(self, node: Node) -> Body:
        condition_node, block_node = parts(node)
        condition = self.pipeline_value(parts(condition_node)[0])
        return _loop(lambda scope: truthy(condition(scope)), self.block(block_node))

    def _do_do_statement(self, node: Node) -> Body:
        block_node, condition_node = parts(node)
        condition, block = self.pipeline_value(parts(condition_node)[0]), self.block(block_node)
        wanted = not any(text_of(child).lower() == "until" for child in node.children)
        return _loop(lambda scope: truthy(condition(scope)) == wanted, block, first_asks=False)

    def _do_for_statement(self, node: Node) -> Body:
        found = {child.type: child for child in parts(node)}
        begin, test, step = (found.get(f"for_{name}") for name in ("initializer", "condition", "iterator"))
        first = self.statement(parts(begin)[0]) if begin else None
        condition = self.pipeline_value(parts(test)[0]) if test else None
        after = self.statement(parts(step)[0]) if step else None
        body = self.block(found["statement_block"])
        turn = _loop(lambda scope: condition is None or truthy(condition(scope)), body, after=after)

        def run(scope: Scope) -> Iterator[Value]:
            if first is not None:
                yield from first(scope)
            yield from turn(scope)

        return run

    def _do_switch_statement(self, node: Node) -> Body:
        found = {child.type: child for child in parts(node)}
        if text_of(found["switch_condition"]).lower().startswith("-f"):
            raise refuse("switch -file", node)
        match = _matcher(found.get("switch_parameters"))
        subject = self.pipeline_value(parts(found["switch_condition"])[0])
        clauses = [child for item in parts(found["switch_body"]) for child in parts(item)]
        arms = [self._arm(clause) for clause in clauses]

        def run(scope: Scope) -> Iterator[Value]:
            for item in as_list(subject(scope)):
                try:
                    yield from scope.each(item, _choose(scope, item, arms, match))
                except LoopFlow as flow:
                    if flow.keyword == "break":
                        return

        return run

    def _arm(self, node: Node) -> tuple[Expr | None, Body]:
        condition, block = parts(node)
        if text_of(condition).lower() == "default":
            return None, self.block(block)
        return self.expression(parts(condition)[0]), self.block(block)

    def _do_function_statement(self, node: Node) -> Body:
        if text_of(node.children[0]).lower() != "function":
            raise refuse(f"{text_of(node.children[0])} statements", node)
        name = text_of(next(child for child in parts(node) if child.type == "function_name")).lower()
        block = next((child for child in parts(node) if child.type == "script_block"), None)
        lists = [child for child in parts(node) if child.type == "function_parameter_declaration"]
        parameters = [found for item in lists for found in self.parameters(item)]
        if block is not None:
            parameters += [p for child in parts(block) if child.type == "param_block" for p in self.parameters(child)]
        body = self.block(block) if block is not None else _nothing
        function = Function(parameters, body)

        def run(scope: Scope) -> Iterator[Value]:
            scope.functions[name] = function
            return
            yield

        return run


@dataclass(frozen=True)
class Function:
    """A function of the script: its parameters and its body."""

    parameters: list[ScriptParameter]
    body: Body

    def call(self, tokens: list[Token], pipe: Iterator[Value] | None, scope: Scope) -> Iterator[Value]:
        """Run it in a scope of its own."""
        if scope.run.depth >= DEPTH:
            raise runtime("The script failed due to call depth overflow.", "CallDepthOverflow")
        inner = Scope(scope.run, {}, scope)
        inner.variables["input"] = list(pipe) if pipe is not None else []
        bind_script(self.parameters, list(self._joined(tokens)), inner)
        scope.run.depth += 1
        try:
            yield from self.body(inner)
        except ReturnFlow:
            pass
        finally:
            scope.run.depth -= 1

    def _joined(self, tokens: list[Token]) -> Iterator[Token]:
        """Give each name the value that follows it, unless it is a switch."""
        switches = {parameter.name for parameter in self.parameters if parameter.is_switch}
        waiting = ""
        for name, value, given in tokens:
            if waiting and not name:
                yield waiting, value, True
                waiting = ""
                continue
            if waiting:
                raise _no_value(waiting)
            if name and not given and name.lower() not in switches:
                waiting = name
            else:
                yield name, value, given
        if waiting:
            raise _no_value(waiting)


def _no_value(name: str) -> StatementError:
    return runtime(f"Missing an argument for parameter '{name}'.", "MissingArgument", "InvalidArgument")


def _nothing(_scope: Scope) -> Iterator[Value]:
    return iter(())


def _loop(goes_on: Callable[[Scope], bool], block: Body, *, first_asks: bool = True, after: Body | None = None) -> Body:
    """Repeat a block while a condition holds; break leaves, continue takes the next turn."""

    def run(scope: Scope) -> Iterator[Value]:
        for turn in range(TURNS):
            scope.run.streams.checkpoint()
            if (turn or first_asks) and not goes_on(scope):
                return
            try:
                yield from block(scope)
            except LoopFlow as flow:
                if flow.keyword == "break":
                    return
            if after is not None:
                yield from after(scope)
        raise runtime(f"The lab ends a loop after {TURNS} turns.", "LabLoopLimit", "LimitsExceeded")

    return run


Match = Callable[[Value, Value], bool]


def _matcher(node: Node | None) -> Match:
    """Find how switch compares: by value, or as its parameter says."""
    word = text_of(node).strip().lower() if node is not None else ""
    equal = comparison("-eq")
    assert equal is not None
    match word:
        case "" | "-exact":
            return lambda item, wanted: truthy(equal(item, wanted))
        case "-wildcard":
            return lambda item, wanted: wildcard(to_text(wanted)).match(to_text(item)) is not None
        case "-regex":
            return lambda item, wanted: re.search(to_text(wanted), to_text(item), re.IGNORECASE) is not None
    assert node is not None
    raise refuse(f"switch {word}", node)


def _choose(scope: Scope, item: Value, arms: list[tuple[Expr | None, Body]], match: Match) -> Iterator[Value]:
    """Run every arm that fits, or the default when none does."""
    fits = [body for wanted, body in arms if wanted is not None and match(item, wanted(scope))]
    for body in fits or [body for wanted, body in arms if wanted is None]:
        yield from body(scope)
