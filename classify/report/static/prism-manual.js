// Prism is used for its tokens only: it must not look for code in the page by itself.
window.Prism = { manual: true };
