"""The page in the visitor's language: nothing on it is in another, whatever state it is in."""

import re

import pytest
from page_server import PageServer, watched_page
from page_states import EXPECTED, STATES, studio
from playwright.sync_api import Browser, Page, expect
from test_words import english

# What people and files are called.
# Names, and what gradio itself writes beside what it is at work on.
DATA = re.compile(
    r"apple|orange|horse|zebra|painter|someone|missing|\d-\w+|cpu|a small computer|tiny|https?://\S+|mit\b"
    r"|emoji(-\w+)?|line art|pixel-(heroes|art hero)|cc-by-sa-[\d.]+|imagenet-research"
    r"|bicyclegan|pix2pix|dcgan"
    r"|processing \||generators/cycle|\b(one|two|bad)\b|\.(png|zip)|no name|[kK]B|\b[A-Z]\b"
)
# Every text that somebody can see, or hear read out to them.
TEXTS = """() => {
    const found = [];
    const seen = (element) => element.checkVisibility({visibilityProperty: true});
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const {parentElement: around, data} = walker.currentNode;
        // What the people said who trained a model or wrote a file.
        const quoted = around.closest("script, style, pre, code, .card :is(p, li, h2, h3, h4)");
        if (data.trim() && !quoted && seen(around))
            found.push(data.trim());
    }
    for (const element of document.body.querySelectorAll("*")) {
        if (!seen(element)) continue;
        for (const name of ["aria-label", "alt", "title", "placeholder", "aria-valuetext"])
            if (element.getAttribute(name)) found.push(element.getAttribute(name));
        for (const pseudo of ["::before", "::after"]) {
            const {content} = getComputedStyle(element, pseudo);
            if (/^".*\\\\w/.test(content)) found.push(content);
        }
    }
    return [...new Set(found)];
}"""
CHINESE = re.compile("[\u4e00-\u9fff]")


def texts(page: Page) -> list[str]:
    return page.evaluate(TEXTS)


@pytest.mark.slow
def test_a_chinese_browser_sees_no_english(browser: Browser, studio: PageServer) -> None:
    with watched_page(browser, studio, expected=EXPECTED, locale="zh-CN") as page:
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        foreign = {}
        for name, reach in STATES.items():
            reach(page)
            said = texts(page)
            assert any(CHINESE.search(text) for text in said)
            foreign[name] = [text for text in said if english(DATA.sub(" ", text))]
        assert {name: said for name, said in foreign.items() if said} == {}


@pytest.mark.slow
def test_others_see_english_and_nothing_else(browser: Browser, studio: PageServer) -> None:
    # Gradio speaks French, but a page in two languages would be worse than one in English.
    with watched_page(browser, studio, expected=EXPECTED, locale="fr-FR") as page:
        assert page.locator("html").get_attribute("lang") == "en"
        said: set[str] = set()
        for reach in STATES.values():
            reach(page)
            said |= {*texts(page)}
    foreign = CHINESE.pattern + "|[éèàçù]"
    assert {text for text in said if re.search(foreign, text.replace("Fréchet", ""))} == set()
    assert {"Translate", "Use via API", "Checkpoints"} <= said


@pytest.mark.parametrize(
    ("locale", "word"),
    [
        ("zh", "转换"),
        ("zh-SG", "转换"),
        ("zh-TW", "转换"),
        ("en-US", "Translate"),
        ("de", "Translate"),
    ],
)
def test_server_client_and_gradio_agree_on_the_language(
    browser: Browser, studio: PageServer, locale: str, word: str
) -> None:
    with watched_page(browser, studio, locale=locale) as page:
        # Labels come through gradio, examples through our client, notices from the server.
        expect(page.locator("#tab-translate-button")).to_have_text(word)
        chinese = word == "转换"
        expect(page.locator("#examples h3")).to_have_text("示例" if chinese else "Examples")
        reason = "无法拉取" if chinese else "Cannot pull"
        expect(page.locator("#notice")).to_contain_text(reason)
        expect(page.locator("footer")).to_contain_text("使用" if chinese else "Use")
        lang = page.locator("html").get_attribute("lang")
        assert lang == ("zh-CN" if chinese else "en")
        # A link to a run finds its tab, whatever that is called.
        page.goto(f"{studio.url}/#run=1-finished")
        page.reload()
        expect(page.locator(".summary h2")).to_have_text("1-finished")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_chinese_fits(browser: Browser, studio: PageServer, width: int) -> None:
    viewport = {"width": width, "height": 844}
    with watched_page(
        browser, studio, expected=EXPECTED, locale="zh-CN", viewport=viewport
    ) as page:
        for name, reach in STATES.items():
            reach(page)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} pixels wide"
