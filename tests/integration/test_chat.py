"""`chat` in a terminal: editing, history, commands, Ctrl-C, errors."""

import json
import os
import signal
import stat
import termios
import threading
import unittest

from server import Server, wait_for
from terminal import COLOUR, ChatTest

HISTORY = (".local", "state", "open-autoglm", "chat_history")
UP, LEFT, BACKSPACE, CTRL_C, CTRL_D, CTRL_R, ALT_ENTER = "\x1b[A", "\x1b[D", "\x7f", "\x03", "\x04", "\x12", "\x1b\r"


class Talking(ChatTest, unittest.TestCase):
    def test_with_a_real_server(self):
        with Server() as server:
            terminal = self.chat(f"http://127.0.0.1:{server.port}", "--max-tokens", "5")
            self.assertIn("tiny", terminal.text)
            said = COLOUR.sub("", terminal.say("Hello"))
            self.assertRegex(said, r"\(5 tokens, [0-9.]+ tokens/s, first after [0-9.]+ s, cut off: no more tokens allowed\)")
            terminal.type(CTRL_D)
            self.assertEqual(terminal.wait(), 0)

    def test_what_was_said_is_known(self):
        server = self.serve("Hi.", "Yes.")
        terminal = self.chat(server, "--system", "Be kind.", "--max-tokens", "7")
        self.assertIn("Hi.", terminal.say("Hello"))
        terminal.say("Again?")
        self.assertEqual(server.asked(0), [("system", "Be kind."), ("user", "Hello")])
        self.assertEqual(server.asked(1), [("system", "Be kind."), ("user", "Hello"), ("assistant", "Hi."), ("user", "Again?")])
        self.assertEqual(server.questions[0]["max_tokens"], 7)
        self.assertNotIn("model", server.questions[0])

    def test_empty_lines_say_nothing(self):
        server = self.serve()
        terminal = self.chat(server)
        terminal.say("")
        terminal.say("   ")
        terminal.say("Hello")
        self.assertEqual([server.asked(i) for i in range(len(server.questions))], [[("user", "Hello")]])

    def test_thoughts_are_set_apart(self):
        server = self.serve([{"delta": {"reasoning_content": "hm"}}, "Paris"])
        terminal = self.chat(server)
        self.assertIn("\x1b[2mhm\x1b[0m\r\n\r\nParis", terminal.say("Capital?"))
        terminal.say("And?")
        self.assertEqual(server.asked()[1], ("assistant", "Paris"))

    def test_an_answer_cannot_command_the_terminal(self):
        terminal = self.chat(self.serve("a\x1b]0;title\x07b\x9b31mc\rd"))
        self.assertIn("a ]0;title b 31mc d\r\n", terminal.say("Hello"))

    def test_ctrl_d_and_exit_end_and_leave_the_terminal_as_it_was(self):
        for end in (CTRL_D, "/exit\r", "/quit\r"):
            with self.subTest(end):
                terminal = self.chat(self.serve())
                terminal.say("Hello")
                self.assertNotEqual(termios.tcgetattr(terminal.theirs), terminal.modes)
                terminal.type(end)
                self.assertEqual(terminal.wait(), 0)
                self.assertEqual(termios.tcgetattr(terminal.theirs), terminal.modes)
                terminal.expect(r"\x1b\[\?2004l")


class Stopping(ChatTest, unittest.TestCase):
    def held(self):
        """A server that has said "one two" and then waits."""
        go = threading.Event()
        self.addCleanup(go.set)
        return go, self.serve(["one two", go, " three", *[" more"] * 1000])

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        go, server = self.held()
        terminal = self.chat(server)
        terminal.type("Count\r")
        terminal.expect("one two")
        terminal.type(CTRL_C)
        terminal.expect(r"stopped\)")
        terminal.prompt()
        go.set()
        self.assertTrue(server.gone.wait(60), "the server was not told")
        terminal.say("Go on")
        self.assertEqual(server.asked(), [("user", "Count"), ("assistant", "one two"), ("user", "Go on")])
        self.assertNotIn("three", terminal.text)

    def test_what_was_stopped_before_a_word_was_not_said(self):
        go = threading.Event()
        self.addCleanup(go.set)
        server = self.serve([go])
        terminal = self.chat(server)
        terminal.type("Count\r")
        wait_for(lambda: server.questions, "the question")
        terminal.type(CTRL_C)
        terminal.prompt()
        go.set()
        terminal.say("Hello")
        self.assertEqual(server.asked(), [("user", "Hello")])

    def test_ctrl_c_at_the_prompt_drops_the_line(self):
        server = self.serve()
        terminal = self.chat(server)
        for dropped in ("dropped", "", "first\\\rsecond", '"""\rblock'):
            terminal.type(dropped + CTRL_C)
            terminal.expect(r"\^C")
            terminal.prompt()
        terminal.say("kept")
        self.assertEqual(server.asked(), [("user", "kept")])
        self.assertEqual(len(server.questions), 1)

    def test_a_ctrl_c_that_comes_too_late_ends_nothing(self):
        server = self.serve()
        terminal = self.chat(server)
        terminal.process.send_signal(signal.SIGINT)  # as the terminal sends it while no line is edited
        terminal.say("Hello")
        self.assertEqual(server.asked(), [("user", "Hello")])

    def test_what_is_typed_meanwhile_is_kept_for_the_next_prompt(self):
        go, server = self.held()
        terminal = self.chat(server)
        terminal.type("Count\r")
        terminal.expect("one two")
        terminal.type("next\r")
        go.set()
        terminal.expect(r"three( more)+\r\n")
        self.assertNotIn("next", terminal.text[:terminal.seen])
        terminal.prompt()
        wait_for(lambda: len(server.questions) == 2, "the second question")
        self.assertEqual(server.asked()[-1], ("user", "next"))

    def test_signals_end_it(self):
        go, server = self.held()
        terminal = self.chat(server)
        terminal.process.terminate()
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(termios.tcgetattr(terminal.theirs), terminal.modes)
        terminal = self.chat(server)
        terminal.type("Count\r")
        terminal.expect("one two")
        terminal.process.terminate()
        self.assertEqual(terminal.wait(), 143)
        self.assertEqual(termios.tcgetattr(terminal.theirs), terminal.modes)
        go.set()


class Editing(ChatTest, unittest.TestCase):
    def sent(self, typed, **env):
        """The message that is sent for the typed text."""
        server = self.serve()
        self.chat(server, **env).say(typed)
        self.assertEqual(len(server.questions), 1)
        return server.asked()[-1][1]

    def test_wide_characters(self):
        self.assertEqual(self.sent("你好，世界" + 2 * LEFT + BACKSPACE + "们"), "你好们世界")
        self.assertEqual(self.sent("日本" + LEFT + "x", LC_ALL="C"), "日x本")
        # Each character takes two columns: to go back before the last one, the cursor moves by two.
        terminal = self.chat(self.serve())
        terminal.type("世界好" + LEFT)
        terminal.expect("世界好(\x08\x08|\x1b\\[2D|\x1b\\[7G)")

    def test_words_and_ends_of_lines(self):
        self.assertEqual(self.sent("one two" + "\x17" + "three"), "one three")
        self.assertEqual(self.sent("two" + "\x1b[H" + "one " + "\x1b[F" + " three"), "one two three")
        self.assertEqual(self.sent("xone" + "\x01" + "\x1b[3~"), "one")

    def test_several_lines(self):
        server = self.serve()
        terminal = self.chat(server)
        terminal.say("one\\\rtwo")
        terminal.say('"""\rone\r\rtwo\r"""')
        terminal.say("one" + ALT_ENTER + "two")
        terminal.say("\x1b[200~one\r\ttwo\r\rthree\r\x1b[201~ four")
        self.assertEqual([m for r, m in server.asked() if r == "user"],
                         ["one\ntwo", "one\n\ntwo", "one\ntwo", "one\n\ttwo\n\nthree four"])

    def test_history(self):
        server = self.serve()
        terminal = self.chat(server)
        terminal.say("the first")
        terminal.say("a second\\\rline")
        terminal.say(UP)
        self.assertEqual(server.asked()[-1][1], "a second\nline")
        terminal.type(CTRL_D)
        terminal.wait()
        path = os.path.join(self.home, *HISTORY)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        again = self.chat(server)
        again.say(UP + UP)
        self.assertEqual(server.asked(), [("user", "the first")])
        again.say(CTRL_R + "secon" + "\r")
        self.assertEqual(server.asked()[-1][1], "a second\nline")

    def test_history_in_the_state_folder(self):
        self.sent("secret", XDG_STATE_HOME=os.path.join(self.home, "state"))
        with open(os.path.join(self.home, "state", "open-autoglm", "chat_history")) as file:
            self.assertEqual(json.loads(file.readline()), "secret")

    def test_without_a_place_for_history(self):
        self.assertEqual(self.sent("one", XDG_STATE_HOME="/proc/nowhere"), "one")

    def test_completion(self):
        server = self.serve(models=("alpha", "alps", "beta"))
        terminal = self.chat(server)
        terminal.say("/mod\tb\t")
        terminal.say("Hello")
        self.assertEqual(server.questions[-1]["model"], "beta")
        terminal.type("/model a\t\t")
        terminal.expect("/model alpha  /model alps")
        terminal.type("ha\r")
        terminal.prompt()
        terminal.say("Hello")
        self.assertEqual(server.questions[-1]["model"], "alpha")

    def test_the_window_may_change(self):
        server = self.serve()
        terminal = self.chat(server)
        terminal.type("one ")
        terminal.expect("one ")
        terminal.resize(40, 20)
        terminal.expect("\r\x1b\\[J(\x1b\\[[0-9;]*m)*>(\x1b\\[[0-9;]*m)* one ")
        terminal.say("two")
        self.assertEqual(server.asked(), [("user", "one two")])

    def test_the_window_may_change_just_when_a_key_comes(self):
        server = self.serve()
        terminal = self.chat(server)
        for round in range(100):  # the signal may come between any two steps of handling the key
            terminal.type("x")
            terminal.resize(200 + round, 40)
            terminal.expect("\r\x1b\\[J")
        terminal.say("")
        self.assertEqual(server.asked(), [("user", "x" * 100)])

    def test_the_window_may_change_during_an_answer(self):
        go = threading.Event()
        self.addCleanup(go.set)
        terminal = self.chat(self.serve(["one two", go, " three"]))
        terminal.type("Count\r")
        terminal.expect("one two")
        terminal.resize(20, 20)
        go.set()
        terminal.prompt()
        terminal.type("a" * 30)
        terminal.expect("a{18} \x08a{12}")  # libedit's way to go to the next line

    def test_a_terminal_that_can_do_nothing(self):
        server = self.serve("Hi.")
        terminal = self.chat(server, ready=False, TERM="dumb")
        terminal.expect("> ")
        terminal.type("Hello\r")
        terminal.expect("Hi\\.")
        self.assertNotIn("\x1b", terminal.text)
        self.assertEqual(server.asked(), [("user", "Hello")])

    def test_editrc(self):
        with open(os.path.join(self.home, ".editrc"), "w") as file:
            file.write("bind ^X ed-move-to-beg\n")
        self.assertEqual(self.sent("two" + "\x18" + "one "), "one two")


class Commands(ChatTest, unittest.TestCase):
    def test_model(self):
        server = self.serve()
        terminal = self.chat(server)
        self.assertIn("alpha", terminal.text)
        shown = COLOUR.sub("", terminal.say("/model"))
        self.assertRegex(shown, r"  \* alpha\r\n    beta\r\n")
        terminal.say("/model beta")
        terminal.say("Hello")
        self.assertEqual(server.questions[-1]["model"], "beta")
        self.assertRegex(COLOUR.sub("", terminal.say("/model")), r"    alpha\r\n  \* beta\r\n")
        self.assertIn('no model "bet", did you mean beta?; it has: alpha, beta', terminal.say("/model bet"))
        terminal.say("Hello")
        self.assertEqual(server.questions[-1]["model"], "beta")
        server.models = ("gamma",)  # the server's models have changed
        self.assertIn("gamma", terminal.say("/model"))

    def test_a_model_by_name(self):
        server = self.serve()
        self.chat(server, "--model", "beta").say("Hello")
        self.assertEqual(server.questions[-1]["model"], "beta")
        terminal = self.chat(server, "--model", "gamma", ready=False)
        terminal.expect('the server has no model "gamma"; it has: alpha, beta')
        self.assertEqual(terminal.wait(), 1)

    def test_system(self):
        server = self.serve()
        terminal = self.chat(server)
        self.assertIn("told nothing first", terminal.say("/system"))
        terminal.say("/system Be terse.")
        self.assertIn("Be terse.", terminal.say("/system").split("/system", 1)[1])
        terminal.say("Hello")
        self.assertEqual(server.asked(), [("system", "Be terse."), ("user", "Hello")])
        terminal.say("/system none")
        terminal.say("Bye")
        self.assertEqual([role for role, _ in server.asked()], ["user", "assistant", "user"])

    def test_reset(self):
        server = self.serve()
        terminal = self.chat(server, "--system", "s")
        terminal.say("one")
        terminal.say("/reset")
        terminal.say("two")
        self.assertEqual(server.asked(), [("system", "s"), ("user", "two")])

    def test_save(self):
        terminal = self.chat(self.serve("Hi."))
        self.assertIn("Nothing has been said yet", terminal.say("/save"))
        terminal.say("Hello")
        terminal.say("/save a.json")
        with open(os.path.join(self.home, "a.json")) as file:
            self.assertEqual(json.load(file), [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}])
        self.assertIn("a.json is there already", terminal.say("/save a.json"))
        self.assertIn("cannot be written", terminal.say("/save no/such/folder"))
        name = terminal.say("/save").split("Saved as ", 1)[1].split(".md", 1)[0]
        with open(os.path.join(self.home, name + ".md")) as file:
            self.assertEqual(file.read(), "# A conversation with alpha\n\n## User\n\nHello\n\n## Assistant\n\nHi.\n")

    def test_help_and_what_is_no_command(self):
        server = self.serve()
        terminal = self.chat(server)
        shown = terminal.say("/help")
        for command in ("/model", "/system", "/reset", "/save", "/help", "/exit"):
            self.assertIn(command, shown)
        self.assertIn("no command /rest, did you mean /reset?", terminal.say("/rest"))
        self.assertEqual(server.questions, [])
        terminal.say(" /reset")
        terminal.say("/etc/passwd?")
        self.assertEqual([text for role, text in server.asked() if role == "user"], [" /reset", "/etc/passwd?"])


class Errors(ChatTest, unittest.TestCase):
    def test_nobody_there(self):
        with self.serve() as server:
            pass
        terminal = self.chat(server, ready=False)
        terminal.expect("error:")
        terminal.expect(f"Nothing answers at {server.url}. Start a server with `open-autoglm serve`")
        self.assertEqual(terminal.wait(), 1)

    def test_a_key_is_missing(self):
        body = json.dumps({"error": {"message": "no key", "code": "invalid_api_key"}}).encode()
        server = self.serve(models=(401, {}, body))
        terminal = self.chat(server, ready=False)
        terminal.expect("no key")
        terminal.expect("--api-key or OPENAI_API_KEY")
        self.assertEqual(terminal.wait(), 1)
        server.models = ("alpha",)
        self.chat(server, OPENAI_API_KEY="sk-1")
        self.assertEqual(server.keys, [None, "Bearer sk-1"])

    def test_a_server_without_a_list_of_models(self):
        server = self.serve("Hi.", models=(404, {}, b"no such page"))
        terminal = self.chat(server)
        self.assertIn("Hi.", terminal.say("Hello"))
        self.assertIn("does not list its models", terminal.say("/model"))

    def test_what_fails_is_told_and_was_not_said(self):
        def refusal(status, code, **headers):
            return status, headers, json.dumps({"error": {"message": f"says {status}", "code": code}}).encode()
        server = self.serve(refusal(503, "model_loading", **{"Retry-After": "3"}), refusal(400, "context_length_exceeded"),
                            ["half an an", {"error": {"message": "died", "code": "engine_died"}}], (502, {}, b"<h1>Bad</h1>"))
        terminal = self.chat(server)
        said = COLOUR.sub("", terminal.say("one"))
        self.assertIn("error: says 503\r\nTry again in 3 s.", said)
        self.assertIn("/reset begins a new conversation", terminal.say("two"))
        self.assertRegex(COLOUR.sub("", terminal.say("three")), "half an an\r\nerror: died")
        self.assertIn("status 502: <h1>Bad</h1>", terminal.say("four"))
        terminal.say("five")
        self.assertEqual(server.asked(), [("user", "five")])


class Colours(ChatTest, unittest.TestCase):
    ANSWER = ["Hi", " you", {"finish_reason": "stop"}, {"choices": [], "usage": {"completion_tokens": 2}}]

    def test_the_speed_is_dim(self):
        said = self.chat(self.serve(self.ANSWER)).say("Hello")
        self.assertRegex(said, r"Hi you\r\n\x1b\[2m\(2 tokens, .*\)\r?\n?\x1b\[0m")

    def test_none_where_they_are_not_wanted(self):
        terminal = self.chat(self.serve(self.ANSWER, (500, {}, b"")), NO_COLOR="1")
        self.assertIn("(2 tokens, ", terminal.say("Hello"))
        terminal.say("Hello")
        terminal.say("/help")
        self.assertIsNone(COLOUR.search(terminal.text))


if __name__ == "__main__":
    unittest.main()
