"""The PowerShell subset of the lab: what each construct gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import posh_loops
from lab.posh_errors import CATEGORIES
from lab.posh_values import Hashtable, PsObject, Value
from tests.fakes.script_runner import ScriptRunner


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ScriptRunner]:
    """Give a runspace."""
    runner = ScriptRunner(tmp_path, users=1)
    yield runner
    runner.parts.calls.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", [7]),
        ("'a' + 1; 'b' * 3", ["a1", "bbb"]),
        ("7 / 2; 8 / 2; -7 % 3", [3.5, 4, -1]),
        ("0x1F; 2kb; 1.5; -4", [31, 2048, 1.5, -4]),
        ("'it''s'; \"tab`tq`\"\"", ["it's", 'tab\tq"']),
        ('$a = 5; "v=$a ${a}x $($a + 1) `$a $missing."', ["v=5 5x 6 $a ."]),
        ("@'\nraw $x \"q\"\n'@", ['raw $x "q"']),
        ('$n = 2; @"\nline $n\n$($n * 2)\n"@', ["line 2\n4"]),
        ("$x = 1, 2, 3; $x[0]; $x[-1]; $x.Count; $x[9]", [1, 3, 3]),
        ("@(); @($null).Count; @(1).Count; ,@(1, 2)", [0, 1, [1, 2]]),
        ("$h = @{ a = 1; 'b c' = 2 }; $h.a; $h['b c']; $h.A; $h.Count; $h.ContainsKey('A')", [1, 2, 1, 2, True]),
        ("$h = @{}; $h.x = 1; $h['y'] = 2; $h.Remove('x'); $h.Count", [1]),
        ("[pscustomobject]@{ B = 1; A = 'x' }", [{"B": 1, "A": "x"}]),
        ("[ordered]@{ z = 1; a = 2 }", [{"z": 1, "a": 2}]),
        ("[string]5 + 1; [int]'5' + 1; [bool]'x'; [bool]''", ["51", 6, True, False]),
        ("[string[]](1, 2)", ["1", "2"]),
        ("$i = 1; $i++; $i += 3; $i", [5]),
        ("if (0) { 'no' } elseif ('') { 'no' } else { 'else' }", ["else"]),
        ("$v = if ($true) { 'yes' }; $v", ["yes"]),
        ('$v = foreach ($n in 1, 2) { $n * 2 }; "$v"', ["2 4"]),
        ("foreach ($n in 1, 2, 3) { if ($n -eq 2) { continue }; $n }", [1, 3]),
        ("foreach ($n in 1, 2, 3) { if ($n -eq 2) { break }; $n }", [1]),
        ("foreach ($n in $null) { 'never' }; 'end'", ["end"]),
        ("'before'; return 'value'; 'never'", ["before", "value"]),
        ("1, 2, 3 | ForEach-Object { $_ * 2 } | Where-Object { $_ -gt 2 }", [4, 6]),
        ("1, 2 | ForEach-Object { return $_; 'never' }", [1, 2]),
        ("$_ = 'kept'; 1 | ForEach-Object { $_ } | Out-Null; $_", ["kept"]),
        ("(1, 2, 3 | Select-Object -First 2).Count", [2]),
        ("@{ a = 1 } | ForEach-Object { $_.a }; 'abc'.Length; 'abc'.ToUpper()", [1, 3, "ABC"]),
        ("'{0}-{1}' -f 'x', 2; ('a', 'b') -join '+'", ["x-2", "a+b"]),
        ("$o = [pscustomobject]@{ n = 1 }; $o.n = 2; $o.n; $o.none", [2]),
        ("$name = 'n'; ([pscustomobject]@{ n = 1 }).$name", [1]),
        ("([pscustomobject]@{ v = 1 }, [pscustomobject]@{ v = 2 }).v", [1, 2]),
        ("$s = { $_ }; 3 | ForEach-Object $s", [3]),
        ("# comment\n<# block\ncomment #> 1 # more\n", [1]),
        ("& 'Write-Output' 1; $c = @{ Do = 'Write-Output' }; & $c.Do 2; & (\"Write-\" + 'Output') 3", [1, 2, 3]),
        (
            "'tel:+43 1' -replace '^TEL:', ''; 'ab' -replace '(a)(b)', '$2$1'; ('x1', 'x2') -replace 'x'",
            ["+43 1", "ba", "1", "2"],
        ),
        (
            "1 -is [int]; '1' -is [int]; $true -is [int]; @() -is [array]; @{} -isnot [hashtable]",
            [True, False, False, True, False],
        ),
        (
            "'x'.GetType().Name; foreach ($e in @{ k = 'v' }.GetEnumerator()) { \"$($e.Key)=$($e.Value)\" }",
            ["String", "k=v"],
        ),
        ('[CmdletBinding()]\nparam([Parameter(Mandatory = $false)][string]$A)\n"a=$A"', ["a="]),
        ("Write-Output -NoEnumerate @(1, 2)", [[1, 2]]),
        ("[string]::IsNullOrEmpty(''); [string]::IsNullOrWhiteSpace('x')", [True, False]),
    ],
)
def test_script_gives(run: ScriptRunner, text: str, expected: list[Value]) -> None:
    """Each construct gives what PowerShell gives."""
    assert run(text) == expected
    assert run.failure is None
    assert not run.errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'abc' -eq 'ABC'", True),
        ("'abc' -ceq 'ABC'", False),
        ("1 -eq '1'", True),
        ("'1' -eq 1", True),
        ("$null -eq ''", False),
        ("$true -eq 'anything'", True),
        ("10 -gt '9'", True),
        ("'10' -gt 9", False),
        ("'axb' -like 'A?B'", True),
        ("'a*b' -like 'a`*b'", True),
        ("'x[1]' -like 'x[[]1]'", True),
        ("'abc' -notlike '*d*'", True),
        ("'+43 1' -match '^\\+\\d'", True),
        ("1, 2, 3 -contains 2", True),
        ("2 -in 1, 2", True),
        ("'a' -notin 'A', 'b'", False),
        ("$true -and -not $false", True),
        ("$false -or !$true", False),
        ("$true -xor $true", False),
        ("(1, 2, 2 -eq 2).Count -eq 2", True),
    ],
)
def test_comparison(run: ScriptRunner, text: str, *, expected: bool) -> None:
    """The left operand decides how two values compare, and case is ignored unless asked for."""
    assert run(text) == [expected]


def test_parameters_take_named_positional_and_default_values(run: ScriptRunner) -> None:
    """Arguments fill the parameters in order, the rest keep their defaults, types convert."""
    rows: list[Value] = [Hashtable([("Key", 1)]), PsObject([("Key", 2)])]
    found = run('param([object[]]$Rows, [int]$N = 3, [string]$T) "$N/$T"; foreach ($r in $Rows) { $r.Key }', rows)
    assert found == ["3/", 1, 2]


def test_statement_error_lets_the_script_go_on(run: ScriptRunner) -> None:
    """An unknown command is written to the error stream and the next statement runs."""
    assert run("No-SuchThing; 'after'") == ["after"]
    assert run.error_ids == ["CommandNotFoundException"]


def test_preference_stop_ends_the_script(run: ScriptRunner) -> None:
    """With $ErrorActionPreference Stop a failed statement ends everything."""
    assert run("$ErrorActionPreference = 'Stop'; 'one'; No-SuchThing; 'never'") == ["one"]
    assert run.failure is not None
    assert "No-SuchThing" in run.failure.message


def test_error_action_stop_names_the_preference(run: ScriptRunner) -> None:
    """A non-terminating error made terminating says so, and keeps its own id."""
    run("Write-Error 'boom' -ErrorId Mine -ErrorAction Stop")
    assert run.failure is not None
    assert run.failure.message.startswith("The running command stopped because the preference variable")
    assert run.failure.error_id == "Mine"


def test_catch_sees_the_original_record(run: ScriptRunner) -> None:
    """In a catch the record is the cmdlet's own: message, id, category, target."""
    text = """
    try { Write-Error 'boom' -ErrorId Mine -Category ObjectNotFound -TargetObject 'ada' -ErrorAction Stop }
    catch { $_.Exception.Message; $_.FullyQualifiedErrorId; $_.CategoryInfo.Category; $_.TargetObject; "$_" }
    finally { 'finally' }
    """
    wanted = [
        "boom",
        "Mine,Microsoft.PowerShell.Commands.WriteErrorCommand",
        "ObjectNotFound",
        "ada",
        "boom",
        "finally",
    ]
    assert run(text) == wanted


@pytest.mark.parametrize(
    ("clause", "expected"),
    [("[System.Management.Automation.CommandNotFoundException]", "typed"), ("[System.ArgumentException]", "any")],
)
def test_catch_chooses_by_exception_type(run: ScriptRunner, clause: str, expected: str) -> None:
    """The first catch whose type fits is taken."""
    assert run(f"try {{ No-SuchThing }} catch {clause} {{ 'typed' }} catch {{ 'any' }}") == [expected]


def test_throw_ends_the_script_and_rethrow_keeps_the_record(run: ScriptRunner) -> None:
    """A bare throw in a catch passes the same error on."""
    run("try { throw 'first' } catch { throw }")
    assert run.failure is not None
    assert (run.failure.message, run.failure.category) == ("first", "OperationStopped")


def test_finally_runs_when_the_body_fails(run: ScriptRunner) -> None:
    """The finally block runs on the way out of a failing try."""
    run("$done = 0; try { throw 'x' } finally { $done = 1 }")
    assert run.variables["done"] == 1


def test_variables_outlive_the_script(run: ScriptRunner) -> None:
    """A runspace remembers variables from one pipeline to the next."""
    run("$kept = 'yes'")
    assert run("$kept") == ["yes"]


def test_splatting_gives_named_parameters(run: ScriptRunner) -> None:
    """A splatted table is the same as writing its names and values."""
    assert run("$p = @{ First = 1; Property = 'A' }; @{A=1}, @{A=2} | Select-Object @p") == [{"A": 1}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Select-Object A, C", {"A": 1, "C": None}),
        ("Select-Object -Property 'A',B", {"A": 1, "B": 2}),
        ("Select-Object A, @{ n = 'Sum'; e = { $_.A + $_.B } }, B", {"A": 1, "Sum": 3, "B": 2}),
        ("Select-Object *", {"A": 1, "B": 2}),
        ("Select-Object -ExpandProperty B", 2),
    ],
)
def test_select_object(run: ScriptRunner, text: str, expected: Value) -> None:
    """Properties are chosen by bare words, strings, tables and wildcards."""
    assert run(f"[pscustomobject]@{{ A = 1; B = 2 }} | {text}") == [expected]


def test_first_stops_the_producer(run: ScriptRunner) -> None:
    """Select-Object -First ends the pipeline before later objects are made."""
    run("$n = 0; 1, 2, 3, 4 | ForEach-Object { $n++; $_ } | Select-Object -First 2 | Out-Null")
    assert run.variables["n"] == 2


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("Write-Warning 'x'", "warning"),
        ("Write-Verbose 'x' -Verbose", "verbose"),
        ("Write-Information 'x'", "information"),
    ],
)
def test_streams(run: ScriptRunner, text: str, stream: str) -> None:
    """Lines go to their own stream, not to the output."""
    assert run(text) == []
    assert run.messages == [(stream, "x")]


@pytest.mark.parametrize("text", ["Write-Warning 'x' -WarningAction SilentlyContinue", "Write-Verbose 'x'"])
def test_silent_streams(run: ScriptRunner, text: str) -> None:
    """Preferences silence a stream."""
    run(text)
    assert run.messages == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("filter f { 1 }", "filter statements"),
        ("switch -file (1) {\n1 { 2 }\n}", "switch -file"),
        ("a..b", "the range operator"),
        ("& { 1 }", "calling anything but the name of a command"),
        (". ./x.ps1", "dot-sourcing"),
        ("[System.IO.File]::ReadAllText('/etc/passwd')", "static member"),
        ("[type]'x'", "the type"),
        ("1 -is [System.Net.Sockets.Socket]", "this use of -is"),
        ("Write-Output x > out.txt", "redirection"),
        ("Write-Output a$x", "this unquoted argument"),
        ("$env:PATH", "the variable $env:path"),
        ("$Error[0]", "the variable $error"),
        ("1 | ForEach-Object { process { $_ } }", "process"),
        ("$x, $y = 1, 2", "assigning to several targets"),
        ("exit 3", "exit here"),
        ("'x'.PadLeft(3)", "the method PadLeft"),
        ("$b = [scriptblock]::Create('1')", "static member"),
        ("Invoke-Expression '1'", "Invoke-Expression"),
    ],
)
def test_everything_else_is_refused_by_name(run: ScriptRunner, text: str, named: str) -> None:
    """A construct outside the subset is refused with a record that names it."""
    assert run(text) == []
    record = run.failure or run.errors[0]
    assert named in record.message
    assert record.category in ("ParserError", "ObjectNotFound")
    assert record.category in CATEGORIES


def test_refusal_comes_before_anything_runs(run: ScriptRunner) -> None:
    """A refused construct at the end of a script keeps its beginning from running."""
    assert run("'first'; filter f { 1 }") == []
    assert run.failure is not None
    assert "line 1" in run.failure.message


@pytest.mark.parametrize("text", ["if (", "'open", "1 +", "@{ a = }", "foreach ($x in ) { }", "}"])
def test_syntax_errors_are_parser_errors(run: ScriptRunner, text: str) -> None:
    """Text that is no PowerShell fails as a parser error with a position."""
    run(text)
    assert run.failure is not None
    assert run.failure.category == "ParserError"
    assert "line:" in run.failure.message


def test_data_is_never_code(run: ScriptRunner) -> None:
    """A value that looks like script stays a value."""
    hostile = "'; $(throw 'x'); Remove-All # \" ` $null"
    found = run('param($V) $V; "$V"; @{ $V = 1 }.ContainsKey($V)', hostile)
    assert found == [hostile, hostile, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$i = 0; while ($i -lt 3) { $i++; $i }", [1, 2, 3]),
        ("$i = 0; while ($true) { $i++; if ($i -eq 2) { continue }; if ($i -gt 3) { break }; $i }", [1, 3]),
        ("$i = 5; do { $i; $i++ } while ($i -lt 3)", [5]),
        ("$i = 0; do { $i; $i++ } until ($i -ge 2)", [0, 1]),
        ("for ($i = 0; $i -lt 3; $i++) { $i }", [0, 1, 2]),
        ("for ($i = 3; $i -gt 0; $i -= 2) { if ($i -eq 1) { continue }; $i }", [3]),
        ("1..3", [1, 2, 3]),
        ("$n = 2; 3..$n", [3, 2]),
        ("foreach ($i in 1..2) { $i * 2 }", [2, 4]),
        ("-1..1 | ForEach-Object { $_ }", [-1, 0, 1]),
        ("('a','b','c','d')[1..2]", ["b", "c"]),
        ("'a, b;c' -split '[,;] *'", ["a", "b", "c"]),
        ("'a:b:c' -split ':', 2", ["a", "b:c"]),
    ],
)
def test_loops_and_ranges(run: ScriptRunner, text: str, expected: list[Value]) -> None:
    """Loops turn as often as they should, ranges count, texts are cut."""
    assert run(text) == expected
    assert (run.errors, run.failure) == ([], None)


SWITCH = """
param($X)
switch -Wildcard ($X) {
  'a*' { "starts with a: $_" }
  'ab' { 'is ab' }
  'stop' { break }
  default { 'other' }
}
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ab", ["starts with a: ab", "is ab"]),
        (["x", "A1"], ["other", "starts with a: A1"]),
        (["x", "stop", "y"], ["other"]),
    ],
)
def test_switch(run: ScriptRunner, given: Value, expected: list[Value]) -> None:
    """Switch runs every arm that fits, the default when none does, for each element, until a break."""
    assert run(SWITCH, given) == expected


FUNCTIONS = """
function Get-Twice {
  param([int]$Number, [switch]$Loud)
  if ($Loud) { return "$($Number * 2)!" }
  $Number * 2
}
function Add($One, $Other) { $One + $Other; $inner = 1 }
Get-Twice 2
Get-Twice -Number 3
Get-Twice -Loud -Number 4
Add 1 2
Add -Other 'b' -One 'a'
"left: $inner"
"""


def test_functions(run: ScriptRunner) -> None:
    """Functions take positional and named values and switches, return early, and keep their variables."""
    assert run(FUNCTIONS) == [4, 6, "8!", 3, "ab", "left: "]
    assert (run.errors, run.failure) == ([], None)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("function f { f }\nf", "CallDepthOverflow"),
        ("1..999999999", "LabRangeLimit"),
        ("'a' -split '('", "InvalidRegularExpression"),
        ("function f($A) { $A }\nf -A", "MissingArgument"),
        ("function f($A) { $A }\nf -B 1", "NamedParameterNotFound"),
    ],
)
def test_limits_are_errors(run: ScriptRunner, text: str, error: str) -> None:
    """What would never end, or makes no sense, is an error of the statement."""
    run(text)
    assert run.error_ids == [error]


def test_endless_loop_is_stopped(run: ScriptRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that nobody stops is ended by the lab."""
    monkeypatch.setattr(posh_loops, "TURNS", 1000)
    assert run("while ($true) { }; 'on'") == ["on"]
    assert run.error_ids == ["LabLoopLimit"]
