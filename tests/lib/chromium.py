"""Chromium without a screen, for the pages that people click on. It comes with
tools/install-deps browser; without it the tests that want it are skipped."""
import contextlib
import importlib.util
import shutil


def why_not():
    """Why there is none, or None."""
    if not importlib.util.find_spec("selenium"):
        return "no selenium: tools/install-deps browser"
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return "no Chromium: tools/install-deps browser"
    return None


@contextlib.contextmanager
def chromium(profile):
    """`profile`: an empty folder. The certificates of tests are not asked about."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--no-first-run", "--user-data-dir=%s" % profile):
        options.add_argument(argument)
    options.accept_insecure_certs = True
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    try:
        yield driver
    finally:
        driver.quit()


def click(browser, name):
    from selenium.webdriver.common.by import By

    browser.find_element(By.ID, name).click()


def press(browser, selector):
    """A button of a page that gives it no id."""
    from selenium.webdriver.common.by import By

    browser.find_element(By.CSS_SELECTOR, selector).click()


def text_of(browser, name):
    from selenium.webdriver.common.by import By

    return browser.find_element(By.ID, name).text


def wait_for(browser, name):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda _: browser.find_elements(By.ID, name))


def wait_for_text(browser, text):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda _: text.lower() in browser.page_source.lower())


def choose(browser, user):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element(By.ID, "user")).select_by_visible_text(user)


def write(browser, name, text):
    from selenium.webdriver.common.by import By

    browser.find_element(By.ID, name).send_keys(text)
