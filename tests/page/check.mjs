// Opens a report in Chromium at two widths in light, dark and print, and fails on horizontal overflow, a console error, a request, or
// anything that axe-core calls a violation.
//
//     node check.mjs PAGE [PICTURES]
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [page_file, pictures] = process.argv.slice(2);
const address = 'file://' + resolve(page_file);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
let failures = 0;
for (const width of [390, 1280]) {
  for (const look of ['light', 'dark', 'print']) {
    // axe is put into the page, which its own policy would forbid.
    const page = await browser.newPage({
      viewport: { width, height: 900 }, colorScheme: look === 'dark' ? 'dark' : 'light', bypassCSP: true,
    });
    const found = [];
    page.on('console', (message) => found.push(`console: ${message.text()}`));
    page.on('pageerror', (error) => found.push(`error: ${error}`));
    page.on('request', (request) => {
      if (request.url() !== address && !request.url().startsWith('data:')) found.push(`request: ${request.url()}`);
    });
    if (look === 'print') await page.emulateMedia({ media: 'print' });
    await page.goto(address);
    if (pictures) await page.screenshot({ path: `${pictures}-${width}-${look}.png`, fullPage: true });
    await page.evaluate(() => document.querySelectorAll('details').forEach((element) => { element.open = true; }));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (wide > 0) found.push(`overflow: ${wide} pixels`);
    await page.evaluate(axe);
    const { violations, passes } = await page.evaluate(() => window.axe.run(document));
    for (const { id, nodes } of violations) found.push(`axe: ${id} at ${nodes[0].target}`);
    if (passes.length === 0) found.push('axe checked nothing');
    // Every control is reached by the keyboard.
    const reached = await page.evaluate(() => [...document.querySelectorAll('summary, .table')].every((e) => e.tabIndex >= 0));
    if (!reached) found.push('keyboard: something cannot be reached');
    console.log(`${width} ${look}: ${found.length ? found.join('; ') : `nothing wrong, ${passes.length} rules passed`}`);
    failures += found.length;
    await page.close();
  }
}
await browser.close();
process.exit(failures ? 1 : 0);
