// A graphics card that does everything at once, for a machine that has none: there WebGL is drawn by the processor, and the page
// waits for every shader. What the page does itself, the map library's own work among it, stays as it is.

/** Runs in the page, before any script of it. */
export function instantGraphics() {
  const NUMBERS = { MAX_TEXTURE_SIZE: 8192, MAX_RENDERBUFFER_SIZE: 8192, MAX_VERTEX_ATTRIBS: 16, MAX_TEXTURE_IMAGE_UNITS: 16, MAX_VERTEX_UNIFORM_VECTORS: 1024, MAX_SAMPLES: 4 };
  const real = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function getContext(kind, ...rest) {
    if (kind !== 'webgl2') return real.call(this, kind, ...rest);
    const canvas = this;
    const constants = WebGL2RenderingContext;
    const texts = new Set([constants.VERSION, constants.VENDOR, constants.RENDERER, constants.SHADING_LANGUAGE_VERSION]);
    const numbers = new Map(Object.entries(NUMBERS).map(([name, value]) => [constants[name], value]));
    const answers = {
      canvas,
      getParameter: (name) => (texts.has(name) ? 'WebGL 2.0' : name === constants.VIEWPORT || name === constants.SCISSOR_BOX ? new Int32Array(4) : (numbers.get(name) ?? 0)),
      getContextAttributes: () => ({ alpha: true, antialias: false, depth: true, stencil: true }),
      getExtension: () => null,
      getSupportedExtensions: () => [],
      getShaderParameter: () => true,
      getProgramParameter: () => true,
      getShaderInfoLog: () => '',
      getProgramInfoLog: () => '',
      getAttribLocation: () => 0,
      getError: () => 0,
      isContextLost: () => false,
      checkFramebufferStatus: () => constants.FRAMEBUFFER_COMPLETE,
      fenceSync: () => ({}),
      clientWaitSync: () => constants.CONDITION_SATISFIED,
    };
    this.instant ??= new Proxy(answers, {
      get(target, name) {
        if (name in target) return target[name];
        if (typeof constants[name] === 'number') return constants[name];
        target[name] = /^(create|get)/.test(String(name)) ? () => ({}) : () => undefined;
        return target[name];
      },
      set: (target, name, value) => ((target[name] = value), true),
    });
    Object.defineProperty(answers, 'drawingBufferWidth', { get: () => canvas.width, configurable: true });
    Object.defineProperty(answers, 'drawingBufferHeight', { get: () => canvas.height, configurable: true });
    return this.instant;
  };
}
